package endtoend

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/door"
	"github.com/oubli-store/oubli/eventstore/storetest"
	"github.com/oubli-store/oubli/keyvault"
	"github.com/oubli-store/oubli/streams"
	"github.com/oubli-store/oubli/streams/natsembed"
)

// powered is a store whose vault/, roots/ and log/ lie on a disk that can lose power, and whose nats/ is a directory.
type powered struct {
	*testing.T
	disk  vfs.FS
	nats  string
	store *eventstore.Store
	close func()
}

func (p *powered) open(create bool) {
	p.Helper()
	ctx := p.Context()
	vault, err := keyvault.Open(ctx, keyvault.Config{FS: p.disk, Dir: "/data/vault", Roots: "/data/roots", KEKFile: "/data/kek", Create: create})
	if err != nil {
		p.Fatal(err)
	}
	// As after any crash the server reads every message instead of trusting its summary.
	nats, err := natsembed.Start(ctx, natsembed.Config{Dir: p.nats, Distrust: !create})
	if err != nil {
		p.Fatal(err)
	}
	conn, err := nats.Connect()
	if err != nil {
		p.Fatal(err)
	}
	log, err := streams.Open(ctx, streams.Config{FS: p.disk, Dir: "/data/log", Conn: conn, Settle: natsembed.Settle})
	if err != nil {
		p.Fatal(err)
	}
	p.close = func() {
		_ = log.Close()
		conn.Close()
		_ = nats.Stop(context.Background())
		_ = vault.Close()
	}
	if create {
		if err := vault.CreateTenant(ctx, storetest.Tenant); err != nil {
			p.Fatal(err)
		}
	}
	p.store = eventstore.New(eventstore.Config{Keys: vault, Log: log, Door: door.New(door.Rules{})})
	if err := p.store.Open(ctx, storetest.Tenant, create); err != nil {
		p.Fatalf("opening: %v", err)
	}
}

// copyLive copies a directory in which a server is at work.
func copyLive(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it went meanwhile
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		return os.WriteFile(filepath.Join(to, name), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestPowerLoss: beside vault/, roots/ and log/ as a power failure leaves them (what was synced, and some of the rest) stands a live copy of nats/ that is older than
// the server's sync interval and younger than the journal's tail. Nothing that was acknowledged by then is lost, and all of it opens.
func TestPowerLoss(t *testing.T) {
	for _, unsynced := range []int{0, 60} {
		t.Run(fmt.Sprintf("%d%% of what was not synced", unsynced), func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			dir := t.TempDir()
			p := &powered{T: t, disk: mem, nats: filepath.Join(dir, "nats")}
			p.open(true)
			var mu sync.Mutex
			acked := map[eventstore.EventID]eventstore.Receipt{}
			persons := map[eventstore.PersonID]bool{}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var all sync.WaitGroup
			for c := range 16 {
				all.Go(func() {
					for i := 0; ctx.Err() == nil; i++ {
						e := said(identity("web", fmt.Sprintf("v%d-%d", c, i/20)), "c", fmt.Sprintf("event %d of %d", i, c))
						e.Bot = "shop-fr"
						r, err := p.store.Append(ctx, eventstore.Caller{Tenant: storetest.Tenant, Bot: "shop-fr"}, e)
						if err != nil {
							continue
						}
						mu.Lock()
						acked[r.ID], persons[r.Person] = r, true
						mu.Unlock()
					}
				})
			}
			reach := func(n int) {
				for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
					mu.Lock()
					got := len(acked)
					mu.Unlock()
					if got >= n {
						return
					}
					if time.Now().After(deadline) {
						t.Fatalf("%d events were acknowledged", got)
					}
				}
			}
			reach(300)
			old := filepath.Join(dir, "old")
			copyLive(t, p.nats, old)
			copied := time.Now()
			for n := 600; time.Since(copied) < natsembed.SyncInterval+100*time.Millisecond; n += 100 {
				reach(n)
			}
			mu.Lock() // what is acknowledged now, and the disk at this moment
			before := make([]eventstore.Receipt, 0, len(acked))
			for _, r := range acked {
				before = append(before, r)
			}
			disk := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: rand.New(rand.NewPCG(4, uint64(unsynced)))})
			mu.Unlock()
			cancel()
			all.Wait()
			p.close()

			after := &powered{T: t, disk: disk, nats: old}
			after.open(false)
			defer after.close()
			found := map[eventstore.EventID]eventstore.Recorded{}
			for person := range persons {
				for r, err := range after.store.Read(t.Context(), storetest.Tenant, person, eventstore.ReadOptions{}) {
					if err != nil {
						break // someone who came in after the moment of the failure
					}
					if _, twice := found[r.ID]; twice {
						t.Fatal("an event is there twice")
					}
					found[r.ID] = r
				}
			}
			for _, r := range before {
				if got, ok := found[r.ID]; !ok || got.Sequence != r.Sequence || got.Person != r.Person || got.Event.Text == "" {
					t.Fatalf("the acknowledged event %d of %d is not there (found %d)", r.Sequence, len(before), len(found))
				}
			}
			t.Logf("%d acknowledged events", len(before))
		})
	}
}
