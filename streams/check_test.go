package streams

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/oubli-store/oubli/eventstore"
)

func (r *room) check(opens Opener) Checked {
	r.t.Helper()
	all, err := Check(context.Background(), r.config(), vault, []eventstore.TenantID{tenant, "other"}, opens, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if len(all) != 2 || !all[1].New || len(all[1].Damage) != 0 {
		r.t.Fatalf("checked %+v", all)
	}
	return all[0]
}

// set writes a row into the index of a log that is not open; 0 deletes it.
func (r *room) set(key row, sequence uint64) {
	r.t.Helper()
	s, err := Open(context.Background(), r.config())
	if err != nil {
		r.t.Fatal(err)
	}
	k := rowKey(nil, tenant, key[:])
	if sequence == 0 {
		err = s.index.db.Delete(k, pebble.NoSync)
	} else {
		err = s.index.db.Set(k, append(binary.BigEndian.AppendUint64(nil, sequence), 2, 188), pebble.NoSync)
	}
	if err := errors.Join(err, s.Close()); err != nil {
		r.t.Fatal(err)
	}
}

func TestCheck(t *testing.T) {
	r := newRoom(t, nil)
	p := live(r)
	r.closeLog()
	sound := r.check(p.opens)
	want := Checked{Tenant: tenant, Events: uint64(len(p.messages)), Rows: uint64(len(p.sent)), Removed: p.last - uint64(len(p.messages)), Last: p.last, Records: 5}
	if len(sound.Damage) != 0 {
		t.Fatalf("a sound log: %v", sound.Damage)
	}
	if sound.Damage = nil; sound.Events != want.Events || sound.Rows != want.Rows || sound.Removed != want.Removed || sound.Last != want.Last ||
		sound.Records != want.Records {
		t.Errorf("checked %+v, want %+v", sound, want)
	}
	var sent []eventstore.Stored // with a row
	for _, m := range p.messages {
		if _, ok := p.sent[m.Envelope.Event]; ok {
			sent = append(sent, m)
		}
	}
	rowOf := func(m eventstore.Stored) row { return p.sent[m.Envelope.Event].Row }
	expect := func(opens Opener, texts ...string) {
		t.Helper()
		got := r.check(opens)
		if len(got.Damage) != len(texts) {
			t.Fatalf("found %v, want %v", got.Damage, texts)
		}
		for i, text := range texts {
			if !strings.Contains(got.Damage[i], text) {
				t.Errorf("found %q, want %q", got.Damage[i], text)
			}
		}
	}

	r.set(rowOf(sent[0]), 0)
	expect(p.opens, "has no idempotency row")
	r.set(rowOf(sent[0]), sent[1].Sequence)
	expect(p.opens, "leads to")
	r.set(rowOf(sent[0]), sent[0].Sequence)
	stray := newRow()
	r.set(stray, p.last)
	expect(p.opens, "has no message")
	r.set(stray, 0)
	expect(func(ctx context.Context, id eventstore.TenantID, m eventstore.Stored) (eventstore.Row, error) {
		if m.Sequence == sent[3].Sequence {
			return row{}, eventstore.ErrDamaged
		}
		return p.opens(ctx, id, m)
	}, "does not open under this vault")
	// Two messages under one row, as a crash can leave them: the earlier keeps it.
	r.set(rowOf(sent[5]), 0)
	expect(func(ctx context.Context, id eventstore.TenantID, m eventstore.Stored) (eventstore.Row, error) {
		if m.Sequence == sent[5].Sequence {
			return rowOf(sent[4]), nil
		}
		return p.opens(ctx, id, m)
	})
	r.set(rowOf(sent[5]), sent[5].Sequence)
	expect(p.opens)

	// The server passes over what it cannot read.
	r.stop()
	r.flip(sent[2], false)
	r.startServer()
	expect(p.opens, "so 1 are missing", "has no message")

	// A start that refuses is a damage too.
	if err := r.js().DeleteStream(context.Background(), "LEDGER_default"); err != nil {
		t.Fatal(err)
	}
	expect(p.opens, "so 1 are missing", "has no message", "LEDGER_default is gone")
}
