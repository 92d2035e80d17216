package console

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/checkpoint"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/ledger"
)

// signed is a checkpoint as the server gives it.
type signed struct {
	Checkpoint string `json:"checkpoint"`
	Key        string `json:"key"`
}

type ledgerCheckpointCmd struct{}

// Run prints the ledger's signed checkpoint, with its public key on standard error.
func (ledgerCheckpointCmd) Run(e *env) error {
	var s signed
	if err := e.ask("GET", "/v1/ledger/checkpoint", nil, &s); err != nil {
		return err
	}
	if _, err := ledger.OpenCheckpoint([]byte(s.Checkpoint), s.Key); err != nil {
		return err
	}
	if e.JSON {
		return e.document(s)
	}
	e.note("public key: %s", s.Key)
	_, err := fmt.Fprint(e.out, s.Checkpoint)
	return err
}

type ledgerVerifyCmd struct {
	Checkpoint string `placeholder:"FILE" help:"An older checkpoint: what ledger checkpoint printed (with or without --json), or what serve --checkpoint keeps."`
}

// verified is what verify found.
type verified struct {
	Entries uint64 `json:"entries"`
	Root    string `json:"root"`
	Key     string `json:"key"`
	// Older is how many entries the older checkpoint covers.
	Older *uint64 `json:"older,omitempty"`
}

// Run reads the whole ledger and holds it to the server's signed checkpoint and to an older one.
func (c ledgerVerifyCmd) Run(e *env) error {
	a, err := e.api()
	if err != nil {
		return err
	}
	var s signed
	if err := a.call(e.ctx, "GET", "/v1/ledger/checkpoint", nil, nil, &s); err != nil {
		return err
	}
	now, err := ledger.OpenCheckpoint([]byte(s.Checkpoint), s.Key)
	if err != nil {
		return fmt.Errorf("the server's checkpoint: %w", err)
	}
	out := verified{Entries: now.Size, Root: hex.EncodeToString(now.Root[:]), Key: s.Key}
	var then *ledger.Checkpoint
	if c.Checkpoint != "" {
		older, err := c.older(e.ctx, now, s.Key)
		if err != nil {
			return err
		}
		then, out.Older = &older, &older.Size
	}
	all, err := ledger.Collect(a.records(e.ctx, now.Size))
	if err != nil {
		return err
	}
	if err := all.Holds(now.Head); err != nil {
		return fmt.Errorf("the entries are not those of the server's checkpoint: %w", err)
	}
	if then != nil {
		if err := all.Holds(then.Head); err != nil {
			return fmt.Errorf("the ledger is not the one of the older checkpoint, or was cut or rewritten since: %w", err)
		}
	}
	if e.JSON {
		return e.document(out)
	}
	fmt.Fprintf(e.out, "%d entries, each as the signed checkpoint says.\n", now.Size)
	if then != nil {
		fmt.Fprintf(e.out, "The first %d are those of the older checkpoint: nothing was taken out or rewritten since.\n", then.Size)
	}
	return nil
}

// older reads the older checkpoint, which must be of the same ledger.
func (c ledgerVerifyCmd) older(ctx context.Context, now ledger.Checkpoint, key string) (ledger.Checkpoint, error) {
	text, err := os.ReadFile(c.Checkpoint)
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	var s signed
	if json.Unmarshal(text, &s) == nil && s.Checkpoint == "" {
		outside, err := checkpoint.Load(ctx, c.Checkpoint)
		if err != nil {
			return ledger.Checkpoint{}, err
		}
		t, known := outside.Tenants[now.Tenant]
		if !known || t.Erased {
			return ledger.Checkpoint{}, fmt.Errorf("%w: the older checkpoint is not about this tenant", eventstore.ErrDamaged)
		}
		text, s.Key = t.Signed, t.Public
	} else if s.Checkpoint != "" {
		text = []byte(s.Checkpoint)
	}
	if s.Key != "" && s.Key != key {
		return ledger.Checkpoint{}, fmt.Errorf("%w: the older checkpoint is signed with another key than the ledger's", eventstore.ErrDamaged)
	}
	older, err := ledger.OpenCheckpoint(text, key)
	if err != nil {
		return ledger.Checkpoint{}, fmt.Errorf("the older checkpoint: %w", err)
	}
	return older, nil
}

// records reads the ledger up to entry last and encodes each entry anew: it has one form.
func (a *api) records(ctx context.Context, last uint64) iter.Seq2[eventstore.Record, error] {
	return func(yield func(eventstore.Record, error) bool) {
		if last == 0 {
			return
		}
		for line, err := range a.lines(ctx, "/v1/ledger", nil) {
			var r eventstore.Record
			if err == nil {
				r, err = recordOf(line)
			}
			if !yield(r, err) || err != nil || r.Number == last {
				return
			}
		}
	}
}

var errNotEntry = errors.New("the server's answer is not Oubli's")

func recordOf(line []byte) (r eventstore.Record, err error) {
	var x struct {
		Number     uint64
		Time       time.Time
		Act        eventstore.Act
		Token      eventstore.TokenID
		Role       eventstore.Role
		References []string
		Reason     eventstore.Reason
		Basis      string
		Scope      eventstore.ScopeCode
		Subject    string
		Count      uint64
		Before     string
		Until      time.Time
		Purpose    string
		Tenant     eventstore.TenantID
	}
	if json.Unmarshal(line, &x) != nil {
		return r, errNotEntry
	}
	e := eventstore.Entry{Time: x.Time, Act: x.Act, Token: x.Token, Role: x.Role, Reason: x.Reason, Basis: x.Basis, Scope: x.Scope, Count: x.Count, Until: x.Until, Purpose: x.Purpose, Tenant: x.Tenant}
	if x.Subject != "" {
		if e.Subject, err = hex.DecodeString(x.Subject); err != nil {
			return r, errNotEntry
		}
	}
	for _, text := range x.References {
		b, err := hex.DecodeString(text)
		if err != nil || len(b) != len(eventstore.LedgerReference{}) {
			return r, errNotEntry
		}
		e.References = append(e.References, eventstore.LedgerReference(b))
	}
	if x.Before != "" {
		t, err := time.Parse("2006-01", x.Before)
		if err != nil {
			return r, errNotEntry
		}
		e.Before = eventstore.KeyMonthOf(t, t)
	}
	data, err := ledger.Encode(e)
	return eventstore.Record{Number: x.Number, Data: data}, err
}
