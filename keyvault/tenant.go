package keyvault

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/register"
	"github.com/oubli-store/oubli/keyvault/secret"
	"github.com/oubli-store/oubli/keyvault/tree"
)

// tenant is one tenant's opened key tree.
//
// Locks, in this order: mu, the pages ascending, the leaves ascending, then the small ones (gate shards, fences, handles), which are held for no
// I/O. Whoever reads the tree holds mu shared; whoever writes a record or a handle also holds its stripe of the leaves or pages, until the commit is
// synced, so that nobody acts on what a crash could take back, and commits of different persons share one sync. What moves keys (a shred, a split, erasing the tenant)
// holds mu alone. A cached record or handle is put in under mu and taken out under mu held alone, so none outlives its shred.
//
// Rejected: a lock for each node, so that splits and shreds of different subtrees would not meet. A shred rewrites the root anyway; those
// that wait share the next one.
type tenant struct {
	v     *Vault
	id    eventstore.TenantID
	index uint32

	mu      sync.RWMutex
	gone    error // ErrErased once erased
	tree    *tree.Tree
	root    secret.Bytes
	slot    int
	own     *tenantKeys
	pages   [stripes]sync.Mutex
	leaves  [stripes]sync.Mutex
	writes  [stripes]atomic.Uint64 // of handles
	meta    [64]sync.Mutex
	handles *handles
	fences  fences
	owed    lastOwed
	shreds  shredQueue
	splits  splits
	count   atomic.Int64
	least   atomic.Uint32 // own.floor, for who does not hold mu
	expiry  chan struct{} // a token for the one run of retention
	minted  atomic.Bool   // since the root was renewed
	refused refusals
	aside   aside
	// restored is when the backup was made that the vault was restored from, if it was.
	restored time.Time
}

const (
	stripeBits = 12
	stripes    = 1 << stripeBits
)

// row makes the key of a tenant's row.
func (t *tenant) row(kind byte, parts ...[]byte) []byte {
	k := append(t.prefix(), kind)
	for _, p := range parts {
		k = append(k, p...)
	}
	return k
}

func (t *tenant) prefix() []byte { return tenantPrefix(t.index) }

func tenantPrefix(number uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{rowTenant}, number)
}

// Row kinds of a tenant beside those of the tree. Each needs its way through a restore: see move.row, which refuses a kind that it does not know.
const (
	rowTombstone  byte = 'X'
	rowFence      byte = 'F'
	rowRefusal    byte = 'U'
	rowOutbox     byte = 'O'
	rowStaged     byte = 'S'
	rowMeta       byte = 'M'
	rowCount      byte = 'C'
	rowRestored   byte = 'L'
	rowExpiry     byte = 'E'
	rowSpared     byte = 'H'
	rowPopulating byte = 'P'
)

func (v *Vault) newTenant(id eventstore.TenantID, index uint32) *tenant {
	t := &tenant{v: v, id: id, index: index, handles: newHandles(v.cacheSize()), expiry: make(chan struct{}, 1)}
	t.fences.persons = map[eventstore.PersonID]struct{}{}
	t.fences.changed = make(chan struct{})
	return t
}

func (t *tenant) treeConfig() tree.Config {
	return tree.Config{Prefix: t.prefix(), Vault: t.v.id, Store: rows{t.v.db}, Entropy: t.v.entropy, Nodes: max(4, t.v.cacheSize())}
}

// tenant finds a live tenant.
func (v *Vault) tenant(id eventstore.TenantID) (*tenant, error) {
	if err := v.ready(); err != nil {
		return nil, err
	}
	v.mu.RLock()
	t := v.tenants[id]
	v.mu.RUnlock()
	if t == nil {
		return nil, eventstore.ErrNotFound
	}
	return t, nil
}

// enterShared takes mu shared; the tenant is live when it returns nil.
func (t *tenant) enterShared() error {
	t.mu.RLock()
	if err := t.usable(); err != nil {
		t.mu.RUnlock()
		return err
	}
	return nil
}

// enterAlone takes mu alone.
func (t *tenant) enterAlone() error {
	t.mu.Lock()
	if err := t.usable(); err != nil {
		t.mu.Unlock()
		return err
	}
	return nil
}

// enterToRekey waits for the turn to re-key and takes mu alone; leave gives both back. Shreds that come meanwhile share the next re-keying.
func (t *tenant) enterToRekey() (leave func(), err error) {
	t.shreds.turn.Lock()
	if err := t.enterAlone(); err != nil {
		t.shreds.turn.Unlock()
		return nil, err
	}
	return func() {
		t.mu.Unlock()
		t.shreds.turn.Unlock()
	}, nil
}

// live says whether the tenant can be used.
func (t *tenant) live() error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.usable()
}

// usable is live for who holds mu.
func (t *tenant) usable() error {
	if err := t.v.ready(); err != nil {
		return err
	}
	return t.gone
}

// CreateTenant implements [eventstore.Keys].
func (v *Vault) CreateTenant(ctx context.Context, id eventstore.TenantID) error {
	if _, err := eventstore.ParseTenantID(string(id)); err != nil {
		return err
	}
	if err := v.ready(); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if old := v.tenants[id]; old != nil {
		if old.gone != nil {
			return eventstore.ErrErased
		}
		return eventstore.ErrConflict
	}
	index := uint32(len(v.tenants))
	for _, old := range v.tenants {
		index = max(index, old.index+1)
	}
	t := v.newTenant(id, index)
	// The intent first, so that a root without a tree is known for what it is after a crash.
	if err := v.setName(id, tenantCreating, index); err != nil {
		return err
	}
	if err := t.create(ctx); err != nil {
		return err
	}
	v.tenants[id] = t
	return nil
}

func (v *Vault) setName(id eventstore.TenantID, s tenantState, index uint32) error {
	b := v.batch()
	defer b.Close()
	if err := b.Set(nameRow(id), nameValue(s, index)); err != nil {
		return err
	}
	return v.commit(b, pebble.Sync)
}

func (t *tenant) create(ctx context.Context) error {
	v := t.v
	var err error
	if t.own, err = newTenantKeys(v.entropy); err != nil {
		return err
	}
	if t.root, err = secret.Random(v.entropy, keySize); err != nil {
		return err
	}
	b := v.batch()
	defer b.Close()
	if t.tree, err = tree.Create(t.treeConfig(), b, t.root, t.own.encode()); err != nil {
		return fromTree(err)
	}
	if err := v.roots.Write(ctx, t.index, 0, register.Root{Generation: 1, Key: t.root}); err != nil {
		return v.fail(err)
	}
	if err := b.Set(nameRow(t.id), nameValue(tenantLive, t.index)); err != nil {
		return err
	}
	return v.commit(b, pebble.Sync)
}

// Tenants implements [eventstore.Keys].
func (v *Vault) Tenants(context.Context) ([]eventstore.TenantID, error) {
	if err := v.ready(); err != nil {
		return nil, err
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	var out []eventstore.TenantID
	for id, t := range v.tenants {
		t.mu.RLock()
		if t.gone == nil {
			out = append(out, id)
		}
		t.mu.RUnlock()
	}
	slices.Sort(out)
	return out, nil
}

// EraseTenant implements [eventstore.Keys].
func (v *Vault) EraseTenant(ctx context.Context, id eventstore.TenantID) error {
	t, err := v.tenant(id)
	if err != nil {
		return err
	}
	if err := t.enterAlone(); err != nil {
		if errors.Is(err, eventstore.ErrErased) {
			return nil
		}
		return err
	}
	defer t.mu.Unlock()
	if err := v.setName(id, tenantErasing, t.index); err != nil {
		return err
	}
	t.gone = eventstore.ErrErased
	v.gates.removeAll(eventstore.ErrErased, func(k gateKey) bool { return k.tenant == t.index })
	t.close()
	if err := t.finishErasing(ctx); err != nil {
		return v.fail(err)
	}
	return nil
}

// finishErasing is what comes after the intent.
func (t *tenant) finishErasing(ctx context.Context) error {
	for s := range 2 {
		if err := t.v.roots.Efface(ctx, t.index, s); err != nil {
			return err
		}
	}
	b := t.v.batch()
	defer b.Close()
	if err := b.DeleteRange(t.prefix(), after(t.prefix()), nil); err != nil {
		return err
	}
	if err := b.Set(nameRow(t.id), nameValue(tenantErased, t.index)); err != nil {
		return err
	}
	return t.v.commit(b, pebble.Sync)
}

// close wipes what is held open; mu is held alone.
func (t *tenant) close() {
	why := t.gone
	if why == nil {
		why = errClosed
	}
	t.aside.remove(why, func(eventstore.PersonID) bool { return true })
	if t.tree != nil {
		t.tree.Close()
		t.root.Wipe()
		t.own.wipe()
	}
	t.handles.clear()
}

// Count implements [eventstore.Keys].
func (v *Vault) Count(_ context.Context, id eventstore.TenantID) (uint64, error) {
	t, err := v.tenant(id)
	if err != nil {
		return 0, err
	}
	if err := t.enterShared(); err != nil {
		return 0, err
	}
	defer t.mu.RUnlock()
	return uint64(max(0, t.count.Load())), nil
}

func newPRF(key secret.Bytes, label string) hash.Hash {
	h := hmac.New(sha256.New, key.Reveal())
	h.Write(append([]byte(label), 0))
	return h
}

// handles is a tenant's bounded cache of resolved handles, in shards so that first contacts do not meet there.
type handles struct {
	seed   maphash.Seed
	shards [handleShards]handleShard
	limit  int
}

const handleShards = 64

type handleShard struct {
	mu sync.RWMutex
	m  map[string]eventstore.PersonID
}

func newHandles(size int) *handles {
	h := &handles{seed: maphash.MakeSeed(), limit: max(1, size/handleShards)}
	h.clear()
	return h
}

func (h *handles) shard(handle string) *handleShard {
	return &h.shards[maphash.String(h.seed, handle)%handleShards]
}

func (h *handles) get(handle string) (eventstore.PersonID, bool) {
	s := h.shard(handle)
	s.mu.RLock()
	defer s.mu.RUnlock()
	id, ok := s.m[handle]
	return id, ok
}

func (h *handles) put(handle string, id eventstore.PersonID) {
	s := h.shard(handle)
	s.mu.Lock()
	defer s.mu.Unlock()
	for old := range s.m {
		if len(s.m) < h.limit {
			break
		}
		delete(s.m, old)
	}
	s.m[handle] = id
}

func (h *handles) drop(handle string) {
	s := h.shard(handle)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, handle)
}

func (h *handles) clear() {
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.Lock()
		s.m = map[string]eventstore.PersonID{}
		s.mu.Unlock()
	}
}
