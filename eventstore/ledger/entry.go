package ledger

import (
	"bytes"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/oubli-store/oubli/eventstore"
)

const (
	schema = 1
	// MaxReferences bounds the references of one entry; more are counted instead.
	MaxReferences = 16384
	maxCode       = 64
	maxSubject    = 64
)

// wire is an entry as it is stored.
type wire struct {
	Schema     uint64                       `cbor:"0,keyasint"`
	Time       int64                        `cbor:"1,keyasint"`
	Act        eventstore.Act               `cbor:"2,keyasint"`
	Token      eventstore.TokenID           `cbor:"3,keyasint"`
	Role       eventstore.Role              `cbor:"4,keyasint,omitempty"`
	References []eventstore.LedgerReference `cbor:"5,keyasint,omitempty"`
	Reason     eventstore.Reason            `cbor:"6,keyasint,omitempty"`
	Basis      string                       `cbor:"7,keyasint,omitempty"`
	Scope      eventstore.ScopeCode         `cbor:"8,keyasint,omitempty"`
	Subject    []byte                       `cbor:"9,keyasint,omitempty"`
	Count      uint64                       `cbor:"10,keyasint,omitempty"`
	Before     eventstore.KeyMonth          `cbor:"11,keyasint,omitempty"`
	Purpose    string                       `cbor:"12,keyasint,omitempty"`
	Tenant     eventstore.TenantID          `cbor:"13,keyasint,omitempty"`
	Until      int64                        `cbor:"14,keyasint,omitempty"`
}

var (
	encoding = must(cbor.CoreDetEncOptions().EncMode())
	decoding = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, MaxNestedLevels: 4, MaxArrayElements: MaxReferences, MaxMapPairs: 16,
	}.DecMode())
	// peeking reads the schema version alone, whatever else is there.
	peeking = must(cbor.DecOptions{IndefLength: cbor.IndefLengthForbidden}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Encode is the record of an entry. Its time is kept in whole milliseconds. ErrInvalid if something in it is not a code.
func Encode(e eventstore.Entry) ([]byte, error) {
	if err := check(e); err != nil {
		return nil, err
	}
	return encoding.Marshal(wire{
		Schema: schema, Time: e.Time.UnixMilli(), Act: e.Act, Token: e.Token, Role: e.Role, References: e.References,
		Reason: e.Reason, Basis: e.Basis, Scope: e.Scope, Subject: e.Subject, Count: e.Count,
		Before: e.Before, Purpose: e.Purpose, Tenant: e.Tenant, Until: milliseconds(e.Until),
	})
}

func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Decode is the entry of a record. It accepts exactly what [Encode] makes. ErrDamaged, ErrNewerVersion.
func Decode(record []byte) (eventstore.Entry, error) {
	var head struct {
		Schema uint64 `cbor:"0,keyasint"`
	}
	if err := peeking.Unmarshal(record, &head); err != nil {
		return eventstore.Entry{}, fmt.Errorf("%w: a ledger entry cannot be read", eventstore.ErrDamaged)
	}
	if head.Schema > schema {
		return eventstore.Entry{}, fmt.Errorf("%w: a ledger entry has schema %d", eventstore.ErrNewerVersion, head.Schema)
	}
	var w wire
	if err := decoding.Unmarshal(record, &w); err != nil || w.Schema != schema {
		return eventstore.Entry{}, fmt.Errorf("%w: a ledger entry cannot be read", eventstore.ErrDamaged)
	}
	e := eventstore.Entry{
		Time: time.UnixMilli(w.Time).UTC(), Act: w.Act, Token: w.Token, Role: w.Role, References: w.References,
		Reason: w.Reason, Basis: w.Basis, Scope: w.Scope, Subject: w.Subject, Count: w.Count,
		Before: w.Before, Purpose: w.Purpose, Tenant: w.Tenant,
	}
	if w.Until != 0 {
		e.Until = time.UnixMilli(w.Until).UTC()
	}
	again, err := Encode(e)
	if err != nil || !bytes.Equal(again, record) {
		return eventstore.Entry{}, fmt.Errorf("%w: a ledger entry is not in its one form", eventstore.ErrDamaged)
	}
	return e, nil
}

func check(e eventstore.Entry) error {
	switch {
	case !code(string(e.Act), false):
		return eventstore.Refuse(eventstore.KindInvalid, "act", "a ledger entry's act must be a code of lower-case letters, digits and hyphens")
	case !code(string(e.Token), false):
		return eventstore.Refuse(eventstore.KindInvalid, "token", "a ledger entry's token must be an access token's id")
	case !code(string(e.Role), true):
		return eventstore.Refuse(eventstore.KindInvalid, "role", "a ledger entry's role must be a code of lower-case letters, digits and hyphens")
	case !code(string(e.Reason), true):
		return eventstore.Refuse(eventstore.KindInvalid, "reason", "a ledger entry's reason must be a code of lower-case letters, digits and hyphens")
	case !code(e.Basis, true):
		return eventstore.Refuse(eventstore.KindInvalid, "basis", "a ledger entry's basis must be a code of lower-case letters, digits and hyphens")
	case !code(string(e.Scope), true):
		return eventstore.Refuse(eventstore.KindInvalid, "scope", "a ledger entry's scope must be a code of lower-case letters, digits and hyphens")
	case !code(string(e.Tenant), true):
		return eventstore.Refuse(eventstore.KindInvalid, "tenant", "a ledger entry's tenant must be a tenant's id")
	case e.Purpose != "" && !eventstore.ValidPurpose(e.Purpose):
		return eventstore.Refuse(eventstore.KindInvalid, "purpose",
			"a ledger entry's purpose must be a lower-case letter followed by at most 31 letters, digits, hyphens or underscores")
	case len(e.Subject) > maxSubject:
		return eventstore.Refuse(eventstore.KindInvalid, "subject", "a ledger entry's subject must be a salted hash of at most 64 bytes")
	case len(e.References) > MaxReferences:
		return eventstore.Refuse(eventstore.KindTooLarge, "references", "a ledger entry has at most 16384 references; count the rest")
	}
	return nil
}

// code says whether s can stand in the ledger: nothing that is made of [a-z0-9-] alone can be an address, a sentence or a person id.
func code(s string, optional bool) bool {
	if s == "" {
		return optional
	}
	if len(s) > maxCode {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
