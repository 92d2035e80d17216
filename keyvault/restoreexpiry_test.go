package keyvault

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

// TestRestoreAmidRetention: a backup holds what retention remembers: who was spared because of a hold, and that a run is under way. What is restored from it
// goes on from there, and takes the rest when the hold is over.
func TestRestoreAmidRetention(t *testing.T) {
	const old, kept eventstore.KeyMonth = 650, 682
	for _, c := range []struct {
		name     string
		crowd    int
		underWay bool
	}{{"a run that is over", 90, false}, {"a run under way", 3 * expiryStep / 2, true}} {
		t.Run(c.name, func(t *testing.T) {
			ctx := t.Context()
			v, fs := newMemVault(t)
			texts := map[eventstore.PersonID][]byte{}
			var held eventstore.PersonID
			for i := range c.crowd {
				p := mustEnter(t, v, eventstore.Identity{Namespace: "web", ID: fmt.Sprint("v", i)})
				g, err := v.Gate(ctx, attackTenant, p)
				if err != nil {
					t.Fatal(err)
				}
				for _, month := range []eventstore.KeyMonth{old, kept} {
					if texts[p], err = g.Seal(ctx, month, []byte("text"), nil); err != nil {
						t.Fatal(err)
					}
					if month == old && i == 0 {
						held = p
						texts[eventstore.PersonID{}] = texts[p]
					}
				}
				g.Release()
			}
			hold := func(v *Vault, on bool) {
				t.Helper()
				if _, err := v.Change(ctx, attackTenant, held, "", func(s eventstore.State) eventstore.State { s.Hold = on; return s }); err != nil {
					t.Fatal(err)
				}
			}
			hold(v, true)
			run, cut := context.WithCancel(ctx)
			defer cut()
			_, err := v.Expire(run, attackTenant, old+1, func(done, total uint64) {
				if c.underWay && done > 0 {
					cut()
				}
			})
			if c.underWay != (err != nil) {
				t.Fatal(err)
			}
			rows := map[byte]int{}
			im := imageNow(t, v)
			for r := range im.Rows {
				if len(r.Key) > 5 && r.Key[0] == rowTenant {
					rows[r.Key[5]]++
				}
			}
			if rows[rowSpared] > 1 || !c.underWay && rows[rowSpared] == 0 || rows[rowExpiry] != map[bool]int{true: 1}[c.underWay] {
				t.Fatalf("the backup holds %d rows of the spared and %d of a run; the test sees nothing", rows[rowSpared], rows[rowExpiry])
			}
			closeVault(t, v)
			if err := Restore(ctx, memVault(fs, "/b"), im, nil); err != nil {
				t.Fatal(err)
			}
			w := mustOpen(t, memVault(fs, "/b"))
			defer closeVault(t, w)
			sound := func(when string) {
				t.Helper()
				if r, err := w.Check(ctx, attackTenant); err != nil || len(r.Damage) > 0 {
					t.Errorf("%s: %v %v", when, r.Damage, err)
				}
			}
			sound("restored")
			gone, err := w.Expire(ctx, attackTenant, old+1, nil)
			if err != nil || len(gone.Spared) != 1 || gone.Spared[0] != held {
				t.Fatalf("retention after the restore: %v, %v", gone.Spared, err)
			}
			opens := func(p eventstore.PersonID, month eventstore.KeyMonth, text []byte) error {
				g, err := w.Gate(ctx, attackTenant, p)
				if err != nil {
					return err
				}
				defer g.Release()
				_, err = g.Open(ctx, month, text, nil)
				return err
			}
			if err := opens(held, old, texts[eventstore.PersonID{}]); err != nil {
				t.Errorf("an old text of the person on hold: %v", err)
			}
			hold(w, false)
			if gone, err = w.Expire(ctx, attackTenant, old+1, nil); err != nil || len(gone.Spared) != 0 {
				t.Fatalf("retention after the hold: %v, %v", gone.Spared, err)
			}
			if err := opens(held, old, texts[eventstore.PersonID{}]); !errors.Is(err, eventstore.ErrExpired) {
				t.Errorf("an old text once the hold is over: %v", err)
			}
			for p, text := range texts {
				if p == (eventstore.PersonID{}) {
					continue
				}
				if err := opens(p, kept, text); err != nil {
					t.Errorf("a text that stays: %v", err)
				}
			}
			sound("at the end")
			if n, err := w.Expired(ctx, attackTenant); err != nil || n != old+1 {
				t.Errorf("expired before month %d, %v", n, err)
			}
		})
	}
}
