package api

import (
	"bufio"
	"encoding/hex"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/ledger"
)

// ledgerEntry is one entry as it is shown.
type ledgerEntry struct {
	Number     uint64               `json:"number"`
	Time       time.Time            `json:"time"`
	Act        eventstore.Act       `json:"act"`
	Token      eventstore.TokenID   `json:"token"`
	Role       eventstore.Role      `json:"role,omitempty"`
	References []string             `json:"references,omitempty" doc:"Random names of the records concerned"`
	Reason     eventstore.Reason    `json:"reason,omitempty"`
	Basis      string               `json:"basis,omitempty"`
	Scope      eventstore.ScopeCode `json:"scope,omitempty"`
	Subject    string               `json:"subject,omitempty" doc:"A salted hash"`
	Count      uint64               `json:"count,omitempty"`
	Before     string               `json:"before,omitempty" doc:"The first month that retention spared, such as 2026-01"`
	Until      time.Time            `json:"until,omitzero" doc:"Until when the handles of who was erased are refused"`
	Purpose    string               `json:"purpose,omitempty" doc:"The purpose of consent"`
	Tenant     string               `json:"tenant,omitempty" doc:"The tenant concerned, where it is another one"`
}

func show(n ledger.Numbered) ledgerEntry {
	e := ledgerEntry{Number: n.Number, Time: n.Time, Act: n.Act, Token: n.Token, Role: n.Role, Reason: n.Reason, Basis: n.Basis, Scope: n.Scope,
		Subject: hex.EncodeToString(n.Subject), Count: n.Count, Until: n.Until, Purpose: n.Purpose, Tenant: string(n.Tenant)}
	if n.Before != 0 {
		e.Before = n.Before.String()
	}
	for _, r := range n.References {
		e.References = append(e.References, r.String())
	}
	return e
}

type ledgerOutput struct {
	Entries []ledgerEntry `json:"entries"`
	Next    uint64        `json:"next,omitempty" doc:"Where to go on, if there may be more"`
}

// ledgerPage is how many entries a JSON answer has at most; NDJSON has no such bound.
const ledgerPage = 1000

func (a *API) registerLedger() {
	op := operation("ledger", "GET", "/v1/ledger", "Entries of the ledger, as JSON or with Accept: application/x-ndjson one a line")
	op.Parameters = []*huma.Param{parameter("query", "from", "integer", "First entry, from 1"), parameter("query", "limit", "integer", "At most so many")}
	op.Responses = map[string]*huma.Response{"200": {Description: "Entries in order", Content: map[string]*huma.MediaType{
		jsonType: {Schema: a.schema(ledgerOutput{}, "Ledger")}, linesType: {Schema: a.schema(ledgerEntry{}, "LedgerEntry")}}}}
	a.raw(op, func(w http.ResponseWriter, r *http.Request, c *call) error { return a.ledger(w, r, c, &op) })
}

var errFromNumber = eventstore.Refuse(eventstore.KindInvalid, "from", "from is the number of an entry, from 1")

func (a *API) ledger(w http.ResponseWriter, r *http.Request, c *call, op *huma.Operation) error {
	q, err := queries(r, op)
	if err != nil {
		return err
	}
	from, limit, streamed := uint64(1), math.MaxInt, accepts(r, linesType)
	if s := q.Get("from"); s != "" {
		if from, err = strconv.ParseUint(s, 10, 64); err != nil || from == 0 {
			return errFromNumber
		}
	}
	if s := q.Get("limit"); s != "" {
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 {
			return errLimit
		}
	}
	if !streamed {
		return a.ledgerJSON(w, r, c, from, min(limit, ledgerPage))
	}
	w.Header().Set("Content-Type", linesType)
	out := bufio.NewWriterSize(w, 64<<10)
	for n, err := range a.Ledger.Entries(r.Context(), c.tenant, from) {
		if limit--; err != nil || limit < 0 {
			if err != nil {
				writeLine(out, errorLine{problemOf(err)})
			}
			break
		}
		if writeLine(out, show(n)) != nil {
			break
		}
	}
	return out.Flush()
}

func (a *API) ledgerJSON(w http.ResponseWriter, r *http.Request, c *call, from uint64, limit int) error {
	out := ledgerOutput{Entries: []ledgerEntry{}}
	for n, err := range a.Ledger.Entries(r.Context(), c.tenant, from) {
		if err != nil {
			return err
		}
		if len(out.Entries) == limit {
			out.Next = n.Number
			break
		}
		out.Entries = append(out.Entries, show(n))
	}
	return writeJSON(w, http.StatusOK, out)
}
