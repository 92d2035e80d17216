package projections

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/secret"
)

// tenant is what is known of one tenant's part of the database.
type tenant struct {
	id     eventstore.TenantID
	slot   byte
	prefix []byte
	keys   keyring

	// position is what is counted durably.
	position atomic.Uint64
	running  atomic.Bool
	// expired is the month before which no period counts; it belongs to the runner.
	expired eventstore.KeyMonth
	// known says that what was published is taken in, and budget what the ledger says was charged (nil: not read yet); both belong to the runner.
	known  bool
	budget *budget
	// aside says that this is the shadow of another: it closes nothing.
	aside bool
	// shadow is the tenant as it is made anew beside this one, with the cache of its counting; nil while it is not. Only the runner changes it, under mu.
	shadow *shadow

	mu     sync.Mutex
	header header
	zone   *time.Location
	// closed are the periods that are closed.
	closed *closed
	// asked are the closes that somebody waits for; interrupt ends the runner's wait.
	asked     asks
	interrupt func()
	// moved is what took the place of this one.
	moved *tenant
	// made are the provisional figures as last made.
	made map[figuresKey]figures
	// kept are figures of releases as last read.
	kept kept
}

// header says what the rows were made of.
type header struct {
	Vault  string `json:"vault"`
	Zone   string `json:"zone"`
	Models string `json:"models"`
	// Consent is [Settings.Consent].
	Consent bool `json:"consent,omitempty"`
}

// keyring is the tenant's database key, in use.
type keyring struct {
	hash secret.Bytes
	aead cipher.AEAD
}

const keySize = 32

func newKeyring(key []byte) (keyring, error) {
	block, err := aes.NewCipher(derive(key, "oubli/projections/values/1"))
	if err != nil {
		return keyring{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return keyring{hash: secret.New(derive(key, "oubli/projections/hash/1")), aead: aead}, err
}

func derive(key []byte, label string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(label))
	return h.Sum(nil)
}

// sum is a keyed hash of parts, each with its length.
func (k keyring) sum(label byte, parts ...string) (out [16]byte) {
	h := hmac.New(sha256.New, k.hash.Reveal())
	b := []byte{label}
	for _, p := range parts {
		b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
	}
	h.Write(b)
	copy(out[:], h.Sum(nil))
	return out
}

// leftOut names a person who is left out, cell a cell.
func (k keyring) leftOut(person eventstore.PersonID) [16]byte {
	return k.sum('l', string(person[:]))
}

func (k keyring) cell(model byte, values []string) cellID {
	return k.sum('c', append([]string{string([]byte{model})}, values...)...)
}

// sealValues seals the values of a cell's dimensions; they are bound to the cell's name.
func (k keyring) sealValues(c cellKey, values []string) []byte {
	return k.aead.Seal(nil, nil, []byte(strings.Join(values, "\x00")), append(c.id[:], c.model))
}

func (k keyring) openValues(c cellKey, sealed []byte, dimensions int) ([]string, error) {
	plain, err := k.aead.Open(nil, nil, sealed, append(c.id[:], c.model))
	if err != nil {
		return nil, damaged("the values of a cell do not open")
	}
	values := strings.Split(string(plain), "\x00")
	if len(values) != dimensions {
		return nil, damaged("a cell does not have its model's dimensions")
	}
	return values, nil
}

func newTenant(id eventstore.TenantID, slot byte) *tenant {
	return &tenant{id: id, slot: slot, prefix: prefix(id, slot), made: map[figuresKey]figures{}, closed: newClosed()}
}

// slot is the slot in use.
func (p *Projections) slot(id eventstore.TenantID) (byte, error) {
	raw, found, err := get(p.db, slotKey(id))
	if err != nil || !found {
		return 0, err
	}
	if len(raw) != 1 || raw[0] > 1 {
		return 0, damaged("which rows of a tenant are in use cannot be read")
	}
	return raw[0], nil
}

// tenant finds or makes a tenant's part of the database.
func (p *Projections) tenant(ctx context.Context, id eventstore.TenantID) (*tenant, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.tenants[id]; t != nil {
		return t, nil
	}
	slot, err := p.slot(id)
	if err != nil {
		return nil, err
	}
	t := newTenant(id, slot)
	raw, ok, err := get(p.db, t.key(tableHeader))
	if err != nil {
		return nil, err
	}
	if ok {
		err = p.load(ctx, t, raw)
	} else {
		err = p.create(ctx, t)
	}
	if err != nil {
		return nil, err
	}
	p.tenants[id] = t
	return t, nil
}

func (t *tenant) associated() []byte {
	return append([]byte("oubli/projections/key/1\x00"), t.id...)
}

func (p *Projections) load(ctx context.Context, t *tenant, raw []byte) error {
	if err := json.Unmarshal(raw, &t.header); err != nil {
		return damaged("a tenant's header cannot be read")
	}
	if t.header.Vault != p.c.Keys.Vault().String() {
		return damaged("the figures were made with another vault; remove the projections directory to make them anew")
	}
	zone, err := time.LoadLocation(t.header.Zone)
	if err != nil {
		return fmt.Errorf("projections: the tenant's time zone: %w", err)
	}
	t.zone = zone
	sealed, ok, err := get(p.db, t.key(tableKey))
	if err != nil {
		return err
	}
	position, found, err := get(p.db, t.key(tablePosition))
	if err != nil {
		return err
	}
	if !ok || !found || len(position) != 8 {
		return damaged("a tenant's key or position is missing")
	}
	key, err := p.c.Keys.OpenControl(ctx, t.id, sealed, t.associated())
	if err != nil {
		return fmt.Errorf("projections: the tenant's database key does not open: %w", err)
	}
	if t.keys, err = newKeyring(key); err != nil {
		return err
	}
	t.position.Store(binary.BigEndian.Uint64(position))
	return errors.Join(p.loadExpired(t), p.loadClosed(t))
}

func (p *Projections) create(ctx context.Context, t *tenant) error {
	s, err := p.settings(t.id)
	if err != nil {
		return err
	}
	key := make([]byte, keySize)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	sealed, err := p.c.Keys.SealControl(ctx, t.id, key, t.associated())
	if err != nil {
		return err
	}
	if t.keys, err = newKeyring(key); err != nil {
		return err
	}
	b := p.db.NewBatch()
	if err := errors.Join(b.Set(t.key(tableKey), sealed, nil), p.begin(b, t, s)); err != nil {
		return errors.Join(dbError(err), b.Close())
	}
	return dbError(b.Commit(pebble.Sync))
}

// begin puts a tenant to the beginning of the stream, in a batch.
func (p *Projections) begin(b *pebble.Batch, t *tenant, s Settings) error {
	t.zone = s.Zone
	t.header = header{Vault: p.c.Keys.Vault().String(), Zone: s.Zone.String(), Models: fingerprint(p.models), Consent: s.Consent}
	raw, err := json.Marshal(t.header)
	if err != nil {
		return err
	}
	return errors.Join(b.Set(t.key(tableHeader), raw, nil), b.Set(t.key(tablePosition), make([]byte, 8), nil))
}

// renew makes the tenant's rows anew from the beginning of the stream if they were made for another time zone or other read models.
func (p *Projections) renew(t *tenant, cache *cache) error {
	s, err := p.settings(t.id)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.header.Zone == s.Zone.String() && t.header.Models == fingerprint(p.models) && t.header.Consent == s.Consent {
		return nil
	}
	b := p.db.NewBatch()
	for _, table := range []byte{tableLeftOut, tableTag, tableGroup, tableTalk, tablePerson, tableCell, tableExpired, tableHistory, tableDraft, tableReceived, tableLate} {
		from := t.key(table)
		if err := b.DeleteRange(from, successor(from), nil); err != nil {
			return errors.Join(dbError(err), b.Close())
		}
	}
	if err := p.begin(b, t, s); err != nil {
		return errors.Join(dbError(err), b.Close())
	}
	if err := b.Commit(pebble.Sync); err != nil {
		return dbError(err)
	}
	cache.clear()
	t.expired = 0
	t.position.Store(0)
	clear(t.made)
	return nil
}

// Passed is the sequence of the tenant's stream up to which every projection has counted, durably.
func (p *Projections) Passed(tenant eventstore.TenantID) uint64 {
	p.mu.Lock()
	t := p.tenants[tenant]
	p.mu.Unlock()
	if t != nil {
		return t.position.Load()
	}
	slot, err := p.slot(tenant)
	if err != nil {
		return 0
	}
	at := append(prefix(tenant, slot), tablePosition)
	if raw, ok, err := get(p.db, at); err == nil && ok && len(raw) == 8 {
		return binary.BigEndian.Uint64(raw)
	}
	return 0
}

// Drop removes everything of a tenant, durably; for a tenant that is erased. Run must have returned for it: ErrConflict otherwise. Repeatable.
func (p *Projections) Drop(tenant eventstore.TenantID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.tenants[tenant]; t != nil {
		if t.running.Load() {
			return eventstore.Refuse(eventstore.KindConflict, "tenant", "the tenant's projections are still running")
		}
		t.keys.hash.Wipe()
		delete(p.tenants, tenant)
	}
	p.images.drop(tenant)
	from, end := prefix(tenant, 0), successor(prefix(tenant, 1))
	b := p.db.NewBatch()
	if err := errors.Join(b.DeleteRange(from, end, nil), b.Delete(slotKey(tenant), nil), b.Commit(pebble.Sync), b.Close()); err != nil {
		return dbError(err)
	}
	// What stays on disk until it is compacted is untestable; this is for space.
	if err := p.db.Flush(); err != nil {
		return dbError(err)
	}
	return dbError(p.db.Compact(context.Background(), from, end, false))
}
