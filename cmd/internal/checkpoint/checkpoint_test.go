package checkpoint

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/keystest"
	"github.com/oubli-store/oubli/eventstore/ledger"
	"github.com/oubli-store/oubli/eventstore/logtest"
)

const tenant = eventstore.DefaultTenant

// world is a vault and a ledger.
type world struct {
	*testing.T
	keys    *keystest.Fake
	records *logtest.Fake
	ledger  *ledger.Ledger
}

func newWorld(t *testing.T, tenants ...eventstore.TenantID) *world {
	w := &world{T: t, keys: keystest.New(), records: logtest.New()}
	w.ledger = ledger.New(w.records)
	for _, id := range append(tenants, tenant) {
		w.must(w.keys.CreateTenant(t.Context(), id))
		w.open(id)
	}
	return w
}

func (w *world) open(id eventstore.TenantID) {
	w.Helper()
	w.must(w.records.OpenRecords(w.Context(), id, eventstore.RecordsLedger, w.keys.Vault(), true))
	w.must(w.ledger.Open(w.Context(), id))
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// enter makes n entries.
func (w *world) enter(id eventstore.TenantID, n int) {
	w.Helper()
	for range n {
		_, err := w.ledger.Record(w.Context(), id, eventstore.Entry{Act: eventstore.ActLookup, Token: "abc", Role: eventstore.RoleDPO, References: []eventstore.LedgerReference{{1}}})
		w.must(err)
	}
}

// start does what the server does.
func (w *world) start(source string) (*Keeper, error) {
	k, err := Open(w.Context(), Config{Source: source, Keys: w.keys, Meta: w.keys, Ledger: w.ledger, Records: w.records, Signer: ledger.NewSigner(w.keys.Vault(), w.keys, nil)})
	if err != nil {
		return nil, err
	}
	tenants, err := w.keys.Tenants(w.Context())
	w.must(err)
	for _, id := range tenants {
		if err := k.Compare(w.Context(), id); err != nil {
			return nil, err
		}
	}
	return k, k.Update(w.Context())
}

// older is a world as it was when it had n entries, of the same vault.
func (w *world) older(n int) *world {
	o := &world{T: w.T, keys: w.keys.Clone(), records: logtest.New()}
	o.ledger = ledger.New(o.records)
	o.must(o.records.OpenRecords(w.Context(), tenant, eventstore.RecordsLedger, w.keys.Vault(), true))
	for r, err := range w.records.ReadRecords(w.Context(), tenant, eventstore.RecordsLedger, 1) {
		w.must(err)
		if r.Number <= uint64(n) {
			_, err := o.records.AppendRecord(w.Context(), tenant, eventstore.RecordsLedger, r.Data)
			w.must(err)
		}
	}
	tenants, err := o.keys.Tenants(w.Context())
	o.must(err)
	for _, id := range tenants {
		o.open(id)
	}
	return o
}

// objects is a server that keeps what is put; it can be made to fail.
type objects struct {
	mu   sync.Mutex
	all  map[string][]byte
	fail bool
}

func (o *objects) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.all)
}

func (o *objects) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	data, there := o.all[r.URL.String()]
	switch {
	case o.fail:
		w.WriteHeader(http.StatusBadGateway)
	case r.Method == http.MethodPut:
		o.all[r.URL.String()], _ = io.ReadAll(r.Body)
	case !there:
		w.WriteHeader(http.StatusNotFound)
	default:
		w.Write(data)
	}
}

func TestKeep(t *testing.T) {
	server := httptest.NewServer(&objects{all: map[string][]byte{}})
	defer server.Close()
	for name, source := range map[string]string{"file": filepath.Join(t.TempDir(), "outside"), "http": server.URL + "/x/outside?key=1"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "acme")
			if _, err := Load(t.Context(), source); !errors.Is(err, eventstore.ErrNotFound) {
				t.Errorf("an empty place: %v", err)
			}
			k, err := w.start(source)
			w.must(err)
			total := 0
			for _, n := range []int{0, 1, perObject - 1, 1, 2*perObject + 3} {
				w.enter(tenant, n)
				total += n
				w.must(k.Update(t.Context()))
				o, err := Load(t.Context(), source)
				w.must(err)
				got := 0
				for e, err := range o.Entries(t.Context(), tenant) {
					if got++; err != nil || e.Act != eventstore.ActLookup {
						t.Fatalf("entry %d: %+v, %v", got, e, err)
					}
				}
				head, err := w.ledger.At(tenant, 0)
				w.must(err)
				if got != total || len(o.Tenants) != 2 || o.Tenants[tenant].Checkpoint.Head != head || o.Vault != w.keys.Vault().String() {
					t.Errorf("%d entries of %d; %+v", got, total, o.Tenants)
				}
			}
			if st := k.Status(); st.Behind != 0 || st.Why != "" || st.Failures != 0 {
				t.Errorf("%+v", st)
			}
			k, err = w.start(source)
			w.must(err)
			w.must(w.keys.EraseTenant(t.Context(), "acme"))
			w.must(k.Update(t.Context()))
			o, err := Load(t.Context(), source)
			if err != nil || !o.Tenants["acme"].Erased || o.Tenants[tenant].Erased {
				t.Errorf("an erased tenant: %+v, %v", o.Tenants, err)
			}
			_, err = w.start(source)
			w.must(err)
		})
	}
}

// Whatever is older than what is kept, or went on from an older copy, is refused, and named. What only went on is taken.
func TestCompare(t *testing.T) {
	source := filepath.Join(t.TempDir(), "outside")
	w := newWorld(t)
	w.enter(tenant, 5)
	before := w.keys.Clone()
	k, err := w.start(source)
	w.must(err)
	after := w.keys.Clone()
	w.must(w.keys.CreateTenant(t.Context(), "acme"))
	w.open("acme")
	w.enter(tenant, 5)
	w.must(k.Update(t.Context()))
	refused := func(name string, o *world, says string) {
		t.Helper()
		if _, err := o.start(source); !errors.Is(err, eventstore.ErrDamaged) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want an error that says %q", name, err, says)
		}
	}
	refused("a truncated ledger", w.older(9), "has 9 entries and the checkpoint outside covers 10")
	forked := w.older(9)
	forked.enter(tenant, 4)
	refused("a ledger that went on from an older copy", forked, "the first 10 entries")
	rolled := w.older(10)
	rolled.keys = after
	refused("an older copy of the vault", rolled, "the vault knows of 1 updates of the checkpoint outside, which has seen 2")
	adopt := func(o *world) {
		t.Helper()
		outside, err := Load(t.Context(), source)
		w.must(err)
		w.must(outside.Adopt(t.Context(), o.keys))
	}
	adopt(rolled)
	refused("a vault without a tenant", rolled, "tenant acme, which the vault has never known")
	refused("another vault", newWorld(t), "another vault")
	w.must(w.keys.EraseTenant(t.Context(), "acme"))
	w.must(k.Update(t.Context()))
	rolled.must(after.CreateTenant(t.Context(), "acme"))
	adopt(rolled)
	refused("a vault that has an erased tenant", rolled, "tenant acme was erased and the vault holds it")
	keyless := w.older(10)
	keyless.keys = before
	adopt(keyless)
	refused("a ledger with another key", keyless, "not signed with the key")
	further := w.older(10)
	further.enter(tenant, 3)
	if _, err := further.start(source); err != nil {
		t.Errorf("a ledger that went on: %v", err)
	}
}

// Every byte of what is kept is needed as it is.
func TestEveryByte(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "outside")
	w := newWorld(t, "acme")
	w.enter(tenant, 3)
	k, err := w.start(source)
	w.must(err)
	w.must(w.keys.EraseTenant(t.Context(), "acme"))
	w.must(k.Update(t.Context()))
	files := 0
	w.must(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		good, err := os.ReadFile(path)
		w.must(err)
		try := func(what string, i int, data []byte) {
			t.Helper()
			w.must(os.WriteFile(path, data, 0o600))
			if _, err := Load(t.Context(), source); !errors.Is(err, eventstore.ErrDamaged) && !errors.Is(err, eventstore.ErrNewerVersion) {
				t.Errorf("%s: %s at byte %d: %v", d.Name(), what, i, err)
			}
		}
		for i := range good {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << (i % 8)
			try("a flipped bit", i, bad)
			if i%5 == 0 {
				try("a cut", i, good[:i])
				try("a byte left out", i, append(bytes.Clone(good[:i]), good[i+1:]...))
			}
		}
		try("a byte too many", len(good), append(bytes.Clone(good), '\n'))
		w.must(os.Remove(path))
		if _, err := Load(t.Context(), source); !errors.Is(err, eventstore.ErrDamaged) && (path != source || !errors.Is(err, eventstore.ErrNotFound)) {
			t.Errorf("%s is missing: %v", d.Name(), err)
		}
		return os.WriteFile(path, good, 0o600)
	}))
	if files != 2 {
		t.Errorf("%d files", files)
	}
	if _, err := Load(t.Context(), source); err != nil {
		t.Errorf("undamaged: %v", err)
	}
}

// TestOverTLS: a place behind https is held against the system's roots, or those that SSL_CERT_FILE names, and nothing is given to a server that they do not know.
// A process reads its roots once, so each case has a process of its own.
func TestOverTLS(t *testing.T) {
	if source := os.Getenv("OUBLI_TEST_PLACE"); source != "" {
		w := newWorld(t)
		if os.Getenv("OUBLI_TEST_TRUSTED") == "" {
			if _, err := Load(t.Context(), source); !errors.Is(err, errRemote) {
				t.Errorf("a server that no root knows: %v", err)
			}
			if _, err := w.start(source); err == nil {
				t.Error("it was begun with")
			}
			return
		}
		k, err := w.start(source)
		w.must(err)
		w.enter(tenant, 3)
		w.must(k.Update(t.Context()))
		head, err := w.ledger.At(tenant, 0)
		w.must(err)
		if o, err := Load(t.Context(), source); err != nil || o.Tenants[tenant].Checkpoint.Head != head {
			t.Errorf("%v", err)
		}
		return
	}
	place := &objects{all: map[string][]byte{}}
	server := httptest.NewUnstartedServer(place)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		env  []string
	}{{"unknown", nil}, {"known", []string{"SSL_CERT_FILE=" + roots, "OUBLI_TEST_TRUSTED=1"}}} {
		if n := place.count(); n != 0 {
			t.Errorf("%d objects were given to a server that no root knows", n)
		}
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOverTLS$")
		child.Env = append(append(os.Environ(), "OUBLI_TEST_PLACE="+server.URL+"/outside"), c.env...)
		if out, err := child.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", c.name, err, out)
		}
	}
	if place.count() == 0 {
		t.Error("nothing was kept")
	}
}

// A place that fails stops nothing, is told, and is caught up with.
func TestFailing(t *testing.T) {
	place := &objects{all: map[string][]byte{}}
	server := httptest.NewServer(place)
	defer server.Close()
	source := server.URL + "/outside?key=hunter2"
	w := newWorld(t)
	k, err := w.start(source)
	w.must(err)
	place.fail = true
	w.enter(tenant, 3)
	err = k.Update(context.Background())
	if st := k.Status(); err == nil || st.Behind != 3 || st.Failures != 1 || st.Why == "" || strings.Contains(st.Why+err.Error(), "hunter2") {
		t.Errorf("%v, %+v", err, st)
	}
	place.fail = false
	w.must(k.Update(context.Background()))
	o, err := Load(t.Context(), source)
	if st := k.Status(); err != nil || o.Tenants[tenant].Checkpoint.Size != 3 || st.Behind != 0 || st.Why != "" {
		t.Errorf("%v, %+v", err, st)
	}
	server.Close()
	if _, err := Load(t.Context(), source); err == nil || errors.Is(err, eventstore.ErrDamaged) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("an outage: %v", err)
	}
}

// Run keeps up, and once more when it ends.
func TestRun(t *testing.T) {
	source := filepath.Join(t.TempDir(), "outside")
	w := newWorld(t)
	k, err := w.start(source)
	w.must(err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.enter(tenant, 2)
	w.must(k.Run(ctx))
	o, err := Load(t.Context(), source)
	if err != nil || o.Tenants[tenant].Checkpoint.Size != 2 {
		t.Errorf("%+v, %v", o, err)
	}
}
