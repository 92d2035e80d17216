package logtest

import (
	"context"
	"fmt"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

func tenants(t *testing.T, s *suite) {
	alice := newPerson(t)
	m := newMessage(t, alice, "alpha's")
	m.Row = row{1}
	s.append(t, tenantA, m)
	if _, err := s.try(t.Context(), tenantB, m); err == nil {
		t.Error("a tenant that was not opened took a message")
	}
	s.open(t, tenantB)
	if a := s.append(t, tenantB, m); a.Duplicate {
		t.Error("a row of one tenant answered in another")
	}
	m2 := newMessage(t, alice, "beta's")
	s.append(t, tenantB, m2)
	same(t, "alpha", texts(collect(t, s.Replay(t.Context(), tenantA, 0))), []string{"alpha's"})
	same(t, "beta", texts(collect(t, s.Replay(t.Context(), tenantB, 0))), []string{"alpha's", "beta's"})

	for range 2 {
		if err := s.EraseTenant(t.Context(), tenantA); err != nil {
			t.Fatalf("EraseTenant: %v", err)
		}
	}
	if _, err := s.Committed(t.Context(), tenantA); err == nil {
		t.Error("an erased tenant has a committed sequence")
	}
	same(t, "beta", texts(collect(t, s.Replay(t.Context(), tenantB, 0))), []string{"alpha's", "beta's"})
}

func openRules(t *testing.T, s *suite) {
	if err := s.Open(t.Context(), tenantB, vault, false, accept); err == nil {
		t.Error("a tenant that should be there and is not was opened")
	}
	s.append(t, tenantA, newMessage(t, newPerson(t), "one"))
	if s.reopen == nil {
		return
	}
	s.Log = s.reopen(t)
	want(t, "another vault's stream", s.Open(t.Context(), tenantA, eventstore.VaultID{9}, true, accept), eventstore.ErrDamaged)
}

func recordRules(t *testing.T, s *suite) {
	ctx := t.Context()
	if _, err := s.AppendRecord(ctx, tenantA, eventstore.RecordsLedger, []byte("x")); err == nil {
		t.Error("a stream that was not opened took a record")
	}
	if err := s.OpenRecords(ctx, tenantA, eventstore.RecordsLedger, vault, false); err == nil {
		t.Error("a record stream that should be there and is not was opened")
	}
	for _, stream := range []eventstore.RecordStream{eventstore.RecordsLedger, eventstore.RecordsStats} {
		if err := s.OpenRecords(ctx, tenantA, stream, vault, true); err != nil {
			t.Fatalf("OpenRecords: %v", err)
		}
	}
	same(t, "ReadRecords of nothing", s.records(t, eventstore.RecordsLedger, 1), nil)
	for n := range uint64(5) {
		got, err := s.AppendRecord(ctx, tenantA, eventstore.RecordsLedger, fmt.Append(nil, "entry ", n+1))
		if err != nil || got != n+1 {
			t.Fatalf("AppendRecord: %d, %v, want %d", got, err, n+1)
		}
	}
	if n, err := s.AppendRecord(ctx, tenantA, eventstore.RecordsStats, []byte("release")); n != 1 || err != nil {
		t.Errorf("AppendRecord to another stream: %d, %v", n, err)
	}
	same(t, "ReadRecords", s.records(t, eventstore.RecordsLedger, 1), []string{"1 entry 1", "2 entry 2", "3 entry 3", "4 entry 4", "5 entry 5"})
	same(t, "ReadRecords from 4", s.records(t, eventstore.RecordsLedger, 4), []string{"4 entry 4", "5 entry 5"})
	same(t, "ReadRecords from 6", s.records(t, eventstore.RecordsLedger, 6), nil)
	same(t, "ReadRecords of the other", s.records(t, eventstore.RecordsStats, 0), []string{"1 release"})
}

func (s *suite) records(t *testing.T, stream eventstore.RecordStream, from uint64) (out []string) {
	t.Helper()
	for _, r := range collect(t, s.ReadRecords(t.Context(), tenantA, stream, from)) {
		out = append(out, fmt.Sprintf("%d %s", r.Number, r.Data))
	}
	return out
}

func reopening(t *testing.T, s *suite) {
	if s.reopen == nil {
		t.Skip("this log does not outlive its process")
	}
	alice := newPerson(t)
	if err := s.OpenRecords(t.Context(), tenantA, eventstore.RecordsLedger, vault, true); err != nil {
		t.Fatal(err)
	}
	m := newMessage(t, alice, "one")
	m.Row = row{5}
	first := s.append(t, tenantA, m)
	second := s.append(t, tenantA, newMessage(t, alice, "two"))
	if _, err := s.AppendRecord(t.Context(), tenantA, eventstore.RecordsLedger, []byte("entry")); err != nil {
		t.Fatal(err)
	}

	s.Log = s.reopen(t)
	asked := 0
	err := s.Open(t.Context(), tenantA, vault, false, func(context.Context, eventstore.Stored) (row, error) { asked++; return row{}, nil })
	if err != nil || asked != 0 {
		t.Fatalf("Open again: %v, asked for %d journalled events", err, asked)
	}
	if err := s.OpenRecords(t.Context(), tenantA, eventstore.RecordsLedger, vault, false); err != nil {
		t.Fatal(err)
	}
	same(t, "Read", texts(collect(t, s.Read(t.Context(), tenantA, alice, 0))), []string{"one", "two"})
	same(t, "ReadRecords", s.records(t, eventstore.RecordsLedger, 1), []string{"1 entry"})
	if a := s.append(t, tenantA, m); !a.Duplicate || a.Sequence != first.Sequence {
		t.Errorf("the row is gone: %+v", a)
	}
	m = newMessage(t, alice, "three")
	m.Expected = &second.Sequence
	if a := s.append(t, tenantA, m); a.Sequence <= second.Sequence {
		t.Errorf("appended at %d behind %d", a.Sequence, second.Sequence)
	}
	if n, err := s.AppendRecord(t.Context(), tenantA, eventstore.RecordsLedger, []byte("entry")); n != 2 || err != nil {
		t.Errorf("AppendRecord: %d, %v", n, err)
	}
}

// strays: what the stream has and the journal does not is kept under the row that opens gives; a row that is there keeps its message.
func strays(t *testing.T, s *suite) {
	log, can := s.Log.(interface {
		Stray(eventstore.TenantID, eventstore.Message) uint64
	})
	if !can {
		t.Skip("this log cannot be left with strays")
	}
	alice := newPerson(t)
	first := newMessage(t, alice, "one")
	first.Row = row{1, 8: 1}
	s.append(t, tenantA, first)
	var sent []eventstore.Message
	var at []uint64
	for n := range byte(4) {
		m := newMessage(t, alice, fmt.Sprint("stray ", n))
		m.Row = row{1, 8: 1 + n} // the first has the row of a message that is there, the last the one of its neighbour
		if n == 3 {
			m.Row = row{1, 8: 3}
		}
		at = append(at, log.Stray(tenantA, m))
		sent = append(sent, m)
	}
	if s.reopen != nil {
		s.Log = s.reopen(t)
	}
	open := func(opens func(context.Context, eventstore.Stored) (row, error)) error {
		return s.Open(t.Context(), tenantA, vault, false, opens)
	}
	err := open(func(context.Context, eventstore.Stored) (row, error) { return row{}, eventstore.ErrDamaged })
	want(t, "strays that do not open", err, eventstore.ErrDamaged)
	err = open(func(_ context.Context, m eventstore.Stored) (row, error) {
		for i := range sent {
			if sent[i].Envelope.Event == m.Envelope.Event && at[i] == m.Sequence {
				return sent[i].Row, nil
			}
		}
		return row{}, eventstore.ErrDamaged
	})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	settled := func() {
		t.Helper()
		for i, sequence := range []uint64{1, at[1], at[2], at[2]} {
			if a := s.append(t, tenantA, sent[i]); !a.Duplicate || a.Sequence != sequence {
				t.Errorf("stray %d sent again: %+v, want a duplicate at %d", i, a, sequence)
			}
		}
		same(t, "Read", texts(collect(t, s.Read(t.Context(), tenantA, alice, 0))), []string{"one", "stray 0", "stray 1", "stray 2", "stray 3"})
	}
	settled()
	if s.reopen != nil {
		s.Log = s.reopen(t)
		if err := open(func(context.Context, eventstore.Stored) (row, error) { return row{}, eventstore.ErrDamaged }); err != nil {
			t.Fatalf("Open again: %v", err) // nobody is asked again
		}
		settled()
	}
}
