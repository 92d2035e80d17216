package ledger

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// known is an entry and its record, written out by hand from the format in the package comment.
var known = struct {
	entry eventstore.Entry
	hex   string
}{
	eventstore.Entry{
		Time: time.UnixMilli(1795341600123).UTC(), Act: eventstore.ActErased, Token: "abc234", Role: eventstore.RoleDPO,
		References: []eventstore.LedgerReference{{0: 1, 15: 2}}, Reason: eventstore.ReasonPersonRequest, Scope: eventstore.ScopeCodeAll,
		Subject: []byte{0xaa, 0xbb}, Count: 3, Before: 601, Purpose: "e_mail-2", Tenant: "acme",
	},
	"ad" + // map of 13
		"0001" + // 0: 1
		"011b000001a202b2c57b" + // 1: 1795341600123
		"026d" + "706572736f6e2d657261736564" + // 2: "person-erased"
		"0366" + "616263323334" + // 3: "abc234"
		"0463" + "64706f" + // 4: "dpo"
		"0581" + "50" + "01000000000000000000000000000002" + // 5: [16 bytes]
		"066e" + "706572736f6e2d72657175657374" + // 6: "person-request"
		"0863" + "616c6c" + // 8: "all"
		"0942aabb" + // 9: 2 bytes
		"0a03" + // 10: 3
		"0b190259" + // 11: 601
		"0c68" + "655f6d61696c2d32" + // 12: "e_mail-2"
		"0d64" + "61636d65", // 13: "acme"
}

func TestEntryKnownAnswer(t *testing.T) {
	record, err := Encode(known.entry)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(record); got != known.hex {
		t.Errorf("Encode =\n%s, want\n%s", got, known.hex)
	}
	e, err := Decode(record)
	if err != nil || !reflect.DeepEqual(e, known.entry) {
		t.Errorf("Decode = %+v, %v, want %+v", e, err, known.entry)
	}
}

func TestEntryRefuses(t *testing.T) {
	for name, change := range map[string]func(*eventstore.Entry){
		"no act":          func(e *eventstore.Entry) { e.Act = "" },
		"no token":        func(e *eventstore.Entry) { e.Token = "" },
		"a sentence":      func(e *eventstore.Entry) { e.Basis = "because she asked" },
		"an address":      func(e *eventstore.Entry) { e.Reason = "alice@example.com" },
		"a person id":     func(e *eventstore.Entry) { e.Scope = "00000000000123456789ABCDEF" },
		"a long code":     func(e *eventstore.Entry) { e.Role = eventstore.Role(strings.Repeat("a", maxCode+1)) },
		"a free tenant":   func(e *eventstore.Entry) { e.Tenant = "Acme & Co" },
		"a free purpose":  func(e *eventstore.Entry) { e.Purpose = "for alice" },
		"a long purpose":  func(e *eventstore.Entry) { e.Purpose = strings.Repeat("a", 33) },
		"a long subject":  func(e *eventstore.Entry) { e.Subject = make([]byte, maxSubject+1) },
		"many references": func(e *eventstore.Entry) { e.References = make([]eventstore.LedgerReference, MaxReferences+1) },
	} {
		e := known.entry
		change(&e)
		if _, err := Encode(e); !errors.Is(err, eventstore.ErrInvalid) && !errors.Is(err, eventstore.ErrTooLarge) {
			t.Errorf("%s: %v, want a refusal", name, err)
		} else if strings.Contains(err.Error(), "alice") || strings.Contains(err.Error(), "because") {
			t.Errorf("%s: the error repeats a value: %v", name, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		hex  string
		want error
	}{
		"nothing":         {"", eventstore.ErrDamaged},
		"a newer schema":  {"a2000218634100", eventstore.ErrNewerVersion},
		"an older schema": {"a4000001010261610361" + "62", eventstore.ErrDamaged},
		"an unknown key":  {"a500010101026161036162182000", eventstore.ErrDamaged},
		"a long integer":  {"a4000101" + "1801" + "026161036162", eventstore.ErrDamaged},
		"other order":     {"a4010100" + "01026161036162", eventstore.ErrDamaged},
		"an empty field":  {"a500010101026161036162" + "0460", eventstore.ErrDamaged},
		"a key twice":     {"a500010101026161036162036162", eventstore.ErrDamaged},
		"bytes behind":    {known.hex + "00", eventstore.ErrDamaged},
		"a short ref":     {"a500010101026161036162" + "0581" + "420102", eventstore.ErrDamaged},
	} {
		record, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := Decode(record); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// FuzzDecode holds the decoder to two promises: it never panics, and what it accepts is the one encoding of what it returns.
func FuzzDecode(f *testing.F) {
	seed, _ := hex.DecodeString(known.hex)
	f.Add(seed)
	f.Add([]byte{0xa4, 0, 1, 1, 1, 2, 0x61, 'a', 3, 0x61, 'b'})
	f.Fuzz(func(t *testing.T, record []byte) {
		e, err := Decode(record)
		if err != nil {
			if !errors.Is(err, eventstore.ErrDamaged) && !errors.Is(err, eventstore.ErrNewerVersion) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		again, err := Encode(e)
		if err != nil || !bytes.Equal(again, record) {
			t.Fatalf("%x was accepted and is encoded as %x (%v)", record, again, err)
		}
	})
}
