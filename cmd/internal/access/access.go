// Package access decides who may do what: access tokens and roles.
//
// A token's text is oubli_TENANT_ID_SECRET: the tenant and the token's id (16 characters, not secret: it stands in the ledger), then 32
// random bytes and a checksum in lower-case base 32 (60 characters). Stored is a SHA-256 of the random bytes, in a sealed row; the text is shown once.
//
//	oubli_default_mz2xq4tfbh7k5wab_…
//
// # Guaranteed
//
//   - When [Tokens.Revoke] or [Tokens.Rotate] returns, the old text is refused by every later [Tokens.Authenticate].
//   - An outage is never answered as a refusal: Authenticate answers [eventstore.ErrUnavailable] then.
//   - Nothing of a text stands in an error.
//
// # Not guaranteed
//
//   - All changes must go through one Tokens: another process is not asked. (One process works on a data directory.)
//   - Last used is accurate to a minute, and lost minutes after a crash stay lost.
//   - Nothing is written to the ledger here: the caller records token-created, token-rotated and token-revoked before it calls.
//   - Guessing is not slowed down; 256 random bits cannot be guessed.
package access

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/secret"
)

// Token is what is known of an access token; its secret is not.
type Token struct {
	ID       eventstore.TokenID  `json:"id"`
	Tenant   eventstore.TenantID `json:"tenant"`
	Roles    []eventstore.Role   `json:"roles"`
	Bot      eventstore.BotID    `json:"bot,omitempty"`
	Owner    string              `json:"owner,omitempty"`
	Instance bool                `json:"instance,omitempty"`
	Created  time.Time           `json:"created"`
	Expires  time.Time           `json:"expires,omitzero"`
	LastUsed time.Time           `json:"last_used,omitzero"`
	Revoked  time.Time           `json:"revoked,omitzero"`
}

// Has says whether the token has a role.
func (t Token) Has(role eventstore.Role) bool { return slices.Contains(t.Roles, role) }

// Caller is who a bot's events come from. Without Bot the token (an instance's first) may speak for any bot.
func (t Token) Caller() eventstore.Caller {
	return eventstore.Caller{Tenant: t.Tenant, Token: t.ID, Bot: t.Bot}
}

// live says whether the token is accepted at an instant.
func (t Token) live(now time.Time) bool {
	return t.Revoked.IsZero() && (t.Expires.IsZero() || now.Before(t.Expires))
}

// row is a token as it is stored.
type row struct {
	Token
	Hash [sha256.Size]byte `json:"hash"`
}

// usedSuffix ends the key of the row that says when a token was last used. It is a row of its own, so that writing it can never undo a revocation.
const usedSuffix = "/used"

const (
	cacheSize = 10_000
	usedEvery = time.Minute
)

// Tokens keeps the access tokens of every tenant. It is safe for concurrent use.
type Tokens struct {
	meta eventstore.Meta
	now  func() time.Time

	// write is held by whoever changes a row, from its reading to its writing.
	write sync.Mutex
	// mu guards the cache. A row read from meta enters the cache only if changes is what it was before the reading.
	mu      sync.Mutex
	cache   map[key]*row
	used    map[key]time.Time
	changes uint64
}

type key struct {
	tenant eventstore.TenantID
	id     eventstore.TokenID
}

// New keeps tokens in meta.
func New(meta eventstore.Meta, now func() time.Time) *Tokens {
	if now == nil {
		now = time.Now
	}
	return &Tokens{meta: meta, now: now, cache: map[key]*row{}, used: map[key]time.Time{}}
}

// Create makes a token from what t asks for (Roles, Bot, Owner, Expires, Instance) and returns it with its text, which is shown once.
// A bot's token has the role bot alone and a Bot; other tokens have no Bot. An instance token (one that may act for every tenant) has the
// role admin; only it may hold the role bot without a Bot, and then speaks for any. ErrInvalid.
func (a *Tokens) Create(ctx context.Context, tenant eventstore.TenantID, t Token) (Token, secret.Bytes, error) {
	t, err := a.check(tenant, t)
	if err != nil {
		return Token{}, secret.Bytes{}, err
	}
	if t.ID, err = newID(rand.Reader); err != nil {
		return Token{}, secret.Bytes{}, err
	}
	text, hash, err := draw(tenant, t.ID)
	if err != nil {
		return Token{}, secret.Bytes{}, err
	}
	if err := a.insert(ctx, row{t, hash}); err != nil {
		return Token{}, secret.Bytes{}, err
	}
	return t, text, nil
}

func (a *Tokens) insert(ctx context.Context, r row) error {
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return a.meta.PutIf(ctx, r.Tenant, eventstore.TableTokens, string(r.ID), value)
}

// draw makes a new secret.
func draw(tenant eventstore.TenantID, id eventstore.TokenID) (text secret.Bytes, hash [sha256.Size]byte, err error) {
	random, err := secret.Random(rand.Reader, secretSize)
	if err != nil {
		return secret.Bytes{}, hash, err
	}
	defer random.Wipe()
	return write(tenant, id, random.Reveal()), digest(random.Reveal()), nil
}

// Authenticate finds the token of a text. ErrUnauthenticated for one that is malformed, unknown, expired or revoked: which of these is not told.
func (a *Tokens) Authenticate(ctx context.Context, text string) (Token, error) {
	p, ok := parse(text)
	if !ok {
		return Token{}, eventstore.ErrUnauthenticated
	}
	k, now := key{p.tenant, p.id}, a.now()
	r, err := a.find(ctx, k)
	switch {
	case errors.Is(err, eventstore.ErrNotFound), errors.Is(err, eventstore.ErrErased):
		return Token{}, eventstore.ErrUnauthenticated
	case err != nil:
		return Token{}, eventstore.ErrUnavailable.Because(err)
	case subtle.ConstantTimeCompare(r.Hash[:], p.hash[:]) != 1, !r.live(now):
		return Token{}, eventstore.ErrUnauthenticated
	}
	t := r.Token
	t.Roles = slices.Clone(t.Roles)
	t.LastUsed = a.touch(ctx, k, now)
	return t, nil
}

// find reads a row, from the cache if it is there. What it returns must not be changed.
func (a *Tokens) find(ctx context.Context, k key) (*row, error) {
	a.mu.Lock()
	r, changes := a.cache[k], a.changes
	a.mu.Unlock()
	if r != nil {
		return r, nil
	}
	r, err := a.read(ctx, k)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.changes == changes {
		makeRoom(a.cache)
		a.cache[k] = r
	}
	return r, nil
}

// makeRoom takes anything out of a map that is full.
func makeRoom[V any](m map[key]V) {
	for k := range m {
		if len(m) < cacheSize {
			return
		}
		delete(m, k)
	}
}

func (a *Tokens) read(ctx context.Context, k key) (*row, error) {
	value, err := a.meta.Get(ctx, k.tenant, eventstore.TableTokens, string(k.id))
	if err != nil {
		return nil, err
	}
	return decode(value)
}

func decode(value []byte) (*row, error) {
	var r row
	if json.Unmarshal(value, &r) != nil {
		return nil, fmt.Errorf("%w: the row of an access token cannot be read", eventstore.ErrDamaged)
	}
	return &r, nil
}

// touch notes that a token is used, at most once a minute, and returns when it was last said to be. Failing to write it fails nothing.
func (a *Tokens) touch(ctx context.Context, k key, now time.Time) time.Time {
	a.mu.Lock()
	last, known := a.used[k]
	if known && now.Sub(last) < usedEvery {
		a.mu.Unlock()
		return last
	}
	makeRoom(a.used)
	a.used[k] = now
	a.mu.Unlock()
	if value, err := now.UTC().MarshalText(); err == nil {
		_ = a.meta.Put(ctx, k.tenant, eventstore.TableTokens, string(k.id)+usedSuffix, value)
	}
	return now
}

// forget makes every later Authenticate read the row again.
func (a *Tokens) forget(k key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changes++
	delete(a.cache, k)
}

// ForgetTenant ends every token of a tenant that was erased, at once.
func (a *Tokens) ForgetTenant(tenant eventstore.TenantID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changes++
	maps.DeleteFunc(a.cache, func(k key, _ *row) bool { return k.tenant == tenant })
	maps.DeleteFunc(a.used, func(k key, _ time.Time) bool { return k.tenant == tenant })
}

// List is every token of a tenant, revoked and expired ones too, oldest first.
func (a *Tokens) List(ctx context.Context, tenant eventstore.TenantID) ([]Token, error) {
	values, err := a.meta.List(ctx, tenant, eventstore.TableTokens)
	if err != nil {
		return nil, err
	}
	out := []Token{}
	for name, value := range values {
		if strings.HasSuffix(name, usedSuffix) {
			continue
		}
		r, err := decode(value)
		if err != nil {
			return nil, err
		}
		_ = r.LastUsed.UnmarshalText(values[name+usedSuffix]) // never used: zero
		out = append(out, r.Token)
	}
	slices.SortFunc(out, func(s, t Token) int {
		return cmp.Or(s.Created.Compare(t.Created), cmp.Compare(s.ID, t.ID))
	})
	return out, nil
}

// Rotate gives a token a new secret; the old one ends at once. ErrNotFound; ErrConflict for a token that was revoked. After any other
// error the old text may have ended: rotate again.
func (a *Tokens) Rotate(ctx context.Context, tenant eventstore.TenantID, id eventstore.TokenID) (Token, secret.Bytes, error) {
	text, hash, err := draw(tenant, id)
	if err != nil {
		return Token{}, secret.Bytes{}, err
	}
	t, err := a.change(ctx, key{tenant, id}, func(r *row) error {
		if !r.Revoked.IsZero() {
			return eventstore.Refuse(eventstore.KindConflict, "", "the token was revoked; create another")
		}
		r.Hash = hash
		return nil
	})
	if err != nil {
		return Token{}, secret.Bytes{}, err
	}
	return t, text, nil
}

// Revoke ends a token at once, and again changes nothing. ErrNotFound.
func (a *Tokens) Revoke(ctx context.Context, tenant eventstore.TenantID, id eventstore.TokenID) error {
	_, err := a.change(ctx, key{tenant, id}, func(r *row) error {
		if r.Revoked.IsZero() {
			r.Revoked = a.now().UTC().Round(0)
		}
		return nil
	})
	return err
}

// change rewrites a row. The cache forgets it whatever comes of the writing.
func (a *Tokens) change(ctx context.Context, k key, update func(*row) error) (Token, error) {
	if !isID(string(k.id)) {
		return Token{}, eventstore.ErrNotFound
	}
	a.write.Lock()
	defer a.write.Unlock()
	r, err := a.read(ctx, k)
	if err != nil {
		return Token{}, err
	}
	if err := update(r); err != nil {
		return Token{}, err
	}
	value, err := json.Marshal(r)
	if err != nil {
		return Token{}, err
	}
	err = a.meta.Put(ctx, k.tenant, eventstore.TableTokens, string(k.id), value)
	a.forget(k)
	return r.Token, err
}
