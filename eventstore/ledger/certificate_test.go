package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/keystest"
	"github.com/oubli-store/oubli/eventstore/logtest"
)

// office is a ledger that certifies, with the entry of one erasure among others.
type office struct {
	ledger    *Ledger
	log       *logtest.Fake
	certifier *Certifier
	public    string
	entry     uint64
	statement eventstore.Statement
}

var erasedAt = time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)

func newOffice(t *testing.T) *office {
	t.Helper()
	l, log := start(t)
	keys := keystest.New()
	if err := keys.CreateTenant(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	s := NewSigner(eventstore.VaultID{7}, keys, rand.NewChaCha8([32]byte{}))
	public, err := s.Public(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	o := &office{ledger: l, log: log, certifier: NewCertifier(l, s), public: public}
	for i := range uint64(5) {
		record(t, l, i)
	}
	o.entry = o.erased(t, eventstore.ReasonPersonRequest)
	for i := range uint64(3) {
		record(t, l, i)
	}
	o.statement = eventstore.Statement{
		Erasure: "01KB1ERASURE", Persons: []eventstore.PersonID{{15: 1}, {15: 2}}, Reason: eventstore.ReasonPersonRequest, Scope: eventstore.ScopeCodeAll,
		Ticket: "0102", Issued: erasedAt.Add(2 * time.Second),
		Stages:    reached(3),
		Destroyed: []eventstore.Destroyed{{What: eventstore.DestroyedKeys, At: erasedAt.Add(time.Second)}},
		Remains:   []eventstore.Remaining{{What: eventstore.RemainsSkeleton}, {What: eventstore.RemainsBackups, Until: erasedAt.AddDate(0, 2, 0)}},
	}
	return o
}

// reached are the first n stages, half a second apart.
func reached(n int) (out []eventstore.StageReached) {
	for i, s := range eventstore.ErasureStages[:n] {
		out = append(out, eventstore.StageReached{Stage: s, At: erasedAt.Add(time.Duration(i) * 500 * time.Millisecond)})
	}
	return out
}

func (o *office) erased(t *testing.T, reason eventstore.Reason) uint64 {
	t.Helper()
	n, err := o.ledger.Record(t.Context(), tenant, eventstore.Entry{Time: erasedAt, Act: eventstore.ActErased, Token: "tok", Role: eventstore.RoleSupport,
		References: []eventstore.LedgerReference{{1}, {2}}, Count: 2, Reason: reason, Scope: eventstore.ScopeCodeAll, Subject: []byte{1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (o *office) certify(t *testing.T, s eventstore.Statement, earlier []byte) []byte {
	t.Helper()
	file, err := o.certifier.Certify(t.Context(), tenant, s, []uint64{o.entry}, earlier)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// later is the statement once all stages are behind.
func (o *office) later() eventstore.Statement {
	s := o.statement
	s.Stages, s.Issued = reached(6), erasedAt.Add(time.Hour)
	s.Destroyed = append(slices.Clone(s.Destroyed), eventstore.Destroyed{What: eventstore.DestroyedCiphertext, At: s.Stages[4].At})
	s.Remains = s.Remains[1:]
	s.Notified = []eventstore.Notified{{Receiver: "shop-fr", At: erasedAt.Add(time.Minute)}}
	return s
}

func TestCertificate(t *testing.T) {
	o := newOffice(t)
	first := o.certify(t, o.statement, nil)
	record(t, o.ledger, 9)
	both := o.certify(t, o.later(), first)
	for _, public := range []string{o.public, ""} {
		v, err := VerifyCertificate(both, public)
		if err != nil {
			t.Fatal(err)
		}
		if len(v.Issues) != 2 || v.Key != o.public || v.Last().Issue != 2 || len(v.Last().Stages) != 6 || v.Issues[0].Erasure != o.statement.Erasure {
			t.Errorf("%+v", v)
		}
	}
	if v, err := VerifyCertificate(first, o.public); err != nil || len(v.Issues) != 1 {
		t.Errorf("the first issue alone: %+v, %v", v, err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, both, "", "  "); err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyCertificate(pretty.Bytes(), o.public); err != nil {
		t.Errorf("with white space: %v", err)
	}
	again, err := o.certifier.Certify(t.Context(), tenant, o.later(), []uint64{o.entry}, pretty.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	restored := o.statement
	restored.Again, restored.Ticket, restored.Persons = true, "", append(slices.Clone(restored.Persons), eventstore.PersonID{15: 9})
	if _, err := o.certifier.Certify(t.Context(), tenant, restored, []uint64{o.entry}, nil); err != nil {
		t.Errorf("an erasure that a restore repeats, of more persons: %v", err)
	}
	if v, err := VerifyCertificate(again, o.public); err != nil || len(v.Issues) != 3 {
		t.Errorf("a third issue, on a file with white space: %v", err)
	}
}

// What takes something back, or rests on entries that say something else, is not signed.
func TestCertifyRefuses(t *testing.T) {
	o := newOffice(t)
	first := o.certify(t, o.later(), nil)
	wrong := o.erased(t, eventstore.ReasonOther)
	change := func(f func(*eventstore.Statement)) eventstore.Statement {
		s := o.later()
		f(&s)
		return s
	}
	for name, c := range map[string]struct {
		s       eventstore.Statement
		entries []uint64
		earlier []byte
	}{
		"a stage less":         {change(func(s *eventstore.Statement) { s.Stages = s.Stages[:5] }), []uint64{o.entry}, first},
		"another time":         {change(func(s *eventstore.Statement) { s.Stages[2].At = s.Stages[2].At.Add(1) }), []uint64{o.entry}, first},
		"another erasure":      {change(func(s *eventstore.Statement) { s.Erasure = "x" }), []uint64{o.entry}, first},
		"a receiver less":      {change(func(s *eventstore.Statement) { s.Notified = nil }), []uint64{o.entry}, first},
		"not shredded":         {change(func(s *eventstore.Statement) { s.Stages = s.Stages[:2]; s.Destroyed = nil }), []uint64{o.entry}, nil},
		"not removed":          {change(func(s *eventstore.Statement) { s.Stages = s.Stages[:4] }), []uint64{o.entry}, nil},
		"stages ahead":         {change(func(s *eventstore.Statement) { s.Issued = erasedAt }), []uint64{o.entry}, nil},
		"no entry":             {o.later(), nil, nil},
		"no entry, again":      {change(func(s *eventstore.Statement) { s.Again = true }), nil, nil},
		"an entry about other": {o.later(), []uint64{wrong}, nil},
		"an entry of no erase": {o.later(), []uint64{1}, nil},
		"more persons":         {change(func(s *eventstore.Statement) { s.Persons = append(s.Persons, eventstore.PersonID{15: 3}) }), []uint64{o.entry}, nil},
		"entry after shred": {change(func(s *eventstore.Statement) {
			for i := range s.Stages {
				s.Stages[i].At = s.Stages[i].At.Add(-time.Hour)
			}
			s.Destroyed = nil
		}), []uint64{o.entry}, nil},
	} {
		if file, err := o.certifier.Certify(t.Context(), tenant, c.s, c.entries, c.earlier); !errors.Is(err, eventstore.ErrInvalid) || file != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := o.certifier.Certify(t.Context(), tenant, o.later(), []uint64{99}, nil); !errors.Is(err, eventstore.ErrDamaged) {
		t.Errorf("an entry that is not there: %v", err)
	}
	if _, err := o.certifier.Certify(t.Context(), tenant, o.later(), []uint64{o.entry}, first[1:]); !errors.Is(err, eventstore.ErrDamaged) {
		t.Errorf("a damaged file so far: %v", err)
	}
}

// Whatever byte of a certificate is changed, and whatever is left out or doubled, it does not verify, but where it says the same.
func TestCertificateDamage(t *testing.T) {
	o := newOffice(t)
	file := o.certify(t, o.later(), o.certify(t, o.statement, nil))
	refused := func(what string, i int, changed []byte) {
		t.Helper()
		var compact bytes.Buffer
		if json.Compact(&compact, changed) == nil && bytes.Equal(compact.Bytes(), file) {
			return
		}
		var failed *CheckError
		if v, err := VerifyCertificate(changed, o.public); !errors.As(err, &failed) || v != nil {
			t.Errorf("%s at byte %d: %v", what, i, err)
		}
	}
	for i := range file {
		flipped := bytes.Clone(file)
		flipped[i] ^= 1
		refused("a flipped bit", i, flipped)
		if i%7 != 0 {
			continue
		}
		refused("a missing byte", i, slices.Delete(bytes.Clone(file), i, i+1))
		refused("a doubled byte", i, slices.Insert(bytes.Clone(file), i, file[i]))
		refused("cut", i, file[:i])
	}
}

// Every field of a statement is signed: whoever changes one and puts the hash right fails at the signature, and each other change is named by its check.
func TestCertificateFields(t *testing.T) {
	o := newOffice(t)
	first := o.certify(t, o.statement, nil)
	record(t, o.ledger, 9)
	file := o.certify(t, o.later(), first)
	var c certificate
	if err := json.Unmarshal(file, &c); err != nil {
		t.Fatal(err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(c.Issues[1].Statement, &fields); err != nil {
		t.Fatal(err)
	}
	for name, value := range fields {
		for what, replaced := range map[string]string{"emptied": empty(value), "left out": ""} {
			text := strings.Replace(string(c.Issues[1].Statement), `"`+name+`":`+string(value), map[bool]string{true: "", false: `"` + name + `":` + replaced}[replaced == ""], 1)
			text = strings.NewReplacer(",,", ",", "{,", "{", ",}", "}").Replace(text)
			changed := certificate{c.Format, c.Key, []issue{c.Issues[0], {json.RawMessage(text), c.Issues[1].Signature}}}
			b, err := json.Marshal(changed)
			if err != nil {
				t.Fatal(name, err)
			}
			var failed *CheckError
			if _, err := VerifyCertificate(b, o.public); !errors.As(err, &failed) || (failed.Check != CheckSignature && failed.Check != CheckFormat) {
				t.Errorf("%s %s: %v", name, what, err)
			}
		}
	}
	for name, x := range map[string]struct {
		file []byte
		want Check
	}{
		"the first issue dropped": {encoded(t, c.Format, c.Key, c.Issues[1:]), CheckChain},
		"in another order":        {encoded(t, c.Format, c.Key, []issue{c.Issues[1], c.Issues[0]}), CheckChain},
		"an issue twice":          {encoded(t, c.Format, c.Key, append(slices.Clone(c.Issues), c.Issues[1])), CheckChain},
		"no issue":                {encoded(t, c.Format, c.Key, []issue{}), CheckFormat},
		"another format":          {encoded(t, "oubli-certificate/2", c.Key, c.Issues), CheckFormat},
		"another key named":       {encoded(t, c.Format, "k", c.Issues), CheckKey},
		"a signature swapped":     {encoded(t, c.Format, c.Key, []issue{{c.Issues[0].Statement, c.Issues[1].Signature}, c.Issues[1]}), CheckSignature},
	} {
		var failed *CheckError
		if _, err := VerifyCertificate(x.file, o.public); !errors.As(err, &failed) || failed.Check != x.want || !errors.Is(err, eventstore.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func empty(value json.RawMessage) string {
	switch value[0] {
	case '[':
		return "[]"
	case '"':
		return `""`
	}
	return "0"
}

func encoded(t *testing.T, format, key string, issues []issue) []byte {
	t.Helper()
	b, err := json.Marshal(certificate{format, key, issues})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A ledger that was rewritten between two issues cannot sign a second one that goes on from the first.
func TestCertificateOfARewrittenLedger(t *testing.T) {
	o := newOffice(t)
	first := o.certify(t, o.statement, nil)
	rewritten := newOffice(t) // the same key
	l, _ := start(t)
	rewritten.certifier.ledger, rewritten.ledger = l, l
	for i := range uint64(5) {
		record(t, l, i+70)
	}
	rewritten.entry = rewritten.erased(t, eventstore.ReasonPersonRequest)
	for i := range uint64(9) {
		record(t, l, i)
	}
	if _, err := rewritten.certifier.Certify(t.Context(), tenant, rewritten.later(), []uint64{rewritten.entry}, first); err == nil {
		t.Fatal("a rewritten ledger went on with a certificate")
	}
}
