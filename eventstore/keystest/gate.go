package keystest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/oubli-store/oubli/eventstore"
)

var errReleased = errors.New("keystest: a gate was used after its release")

// gate implements [eventstore.Gate].
type gate struct {
	f        *Fake
	p        *person
	id       eventstore.PersonID
	dead     bool
	released bool
	// aside: no fence waits for it. opensOnly: it seals nothing.
	aside, opensOnly bool
}

// enter opens a gate. The lock is held for writing.
func (f *Fake) enter(p *person) *gate {
	g := &gate{f: f, p: p, id: p.id}
	p.gates[g] = true
	return g
}

// Gate implements [eventstore.Keys].
func (f *Fake) Gate(ctx context.Context, tenant eventstore.TenantID, id eventstore.PersonID) (eventstore.Gate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, p, err := f.person(tenant, id)
	if err != nil {
		return nil, err
	}
	return f.enter(p), nil
}

// check says whether the gate can still be used. The lock is held.
func (g *gate) check() error {
	switch {
	case g.p.gone:
		return eventstore.ErrErased
	case g.dead:
		return eventstore.ErrFenced
	case g.released:
		return errReleased
	}
	return g.f.failure
}

func (g *gate) Person() eventstore.PersonID { return g.id }

func (g *gate) State() eventstore.State {
	g.f.mu.RLock()
	defer g.f.mu.RUnlock()
	return g.p.copyState()
}

func (g *gate) Seal(ctx context.Context, month eventstore.KeyMonth, plaintext, associated []byte) ([]byte, error) {
	if g.opensOnly {
		return nil, eventstore.ErrFenced
	}
	g.f.mu.RLock()
	key, ok := g.p.months[month]
	if err := g.sealable(month); err != nil || ok {
		defer g.f.mu.RUnlock()
		if err != nil {
			return nil, err
		}
		return seal(key, plaintext, associated), nil
	}
	g.f.mu.RUnlock()

	g.f.mu.Lock()
	defer g.f.mu.Unlock()
	if err := g.sealable(month); err != nil {
		return nil, err
	}
	key, ok = g.p.months[month]
	if !ok {
		key = randomKey()
		g.p.months[month] = key
	}
	return seal(key, plaintext, associated), nil
}

// sealable is check for what is to be sealed: a new key would make what the old one sealed look damaged.
func (g *gate) sealable(month eventstore.KeyMonth) error {
	if err := g.check(); err != nil {
		return err
	}
	if month < g.p.tenant.expired {
		return eventstore.ErrExpired
	}
	return nil
}

func (g *gate) Open(ctx context.Context, month eventstore.KeyMonth, ciphertext, associated []byte) ([]byte, error) {
	g.f.mu.RLock()
	defer g.f.mu.RUnlock()
	if err := g.check(); err != nil {
		return nil, err
	}
	if key, ok := g.p.months[month]; ok {
		return open(key, ciphertext, associated)
	}
	if month < g.p.tenant.expired {
		return nil, eventstore.ErrExpired
	}
	return nil, eventstore.ErrDamaged
}

func (g *gate) Mark(label eventstore.MarkLabel, parts ...[]byte) (eventstore.Mark, error) {
	g.f.mu.RLock()
	defer g.f.mu.RUnlock()
	if err := g.check(); err != nil {
		return eventstore.Mark{}, err
	}
	return mark(g.p.secret, string(label), parts...), nil
}

func (g *gate) Release() {
	g.f.mu.Lock()
	defer g.f.mu.Unlock()
	if g.released {
		return
	}
	g.released = true
	if g.aside {
		return
	}
	delete(g.p.gates, g)
	close(g.f.released)
	g.f.released = make(chan struct{})
}

// SealControl implements [eventstore.Keys].
func (f *Fake) SealControl(ctx context.Context, tenant eventstore.TenantID, plaintext, associated []byte) ([]byte, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	t, err := f.tenant(tenant)
	if err != nil {
		return nil, err
	}
	return seal(t.control, plaintext, associated), nil
}

// OpenControl implements [eventstore.Keys].
func (f *Fake) OpenControl(ctx context.Context, tenant eventstore.TenantID, ciphertext, associated []byte) ([]byte, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	t, err := f.tenant(tenant)
	if err != nil {
		return nil, err
	}
	return open(t.control, ciphertext, associated)
}

func aead(key [32]byte) cipher.AEAD {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err)
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return a
}

func seal(key [32]byte, plaintext, associated []byte) []byte {
	a := aead(key)
	nonce := make([]byte, a.NonceSize(), a.NonceSize()+len(plaintext)+a.Overhead())
	rand.Read(nonce)
	return a.Seal(nonce, nonce, plaintext, associated)
}

func open(key [32]byte, ciphertext, associated []byte) ([]byte, error) {
	a := aead(key)
	if len(ciphertext) < a.NonceSize() {
		return nil, eventstore.ErrDamaged
	}
	out, err := a.Open(nil, ciphertext[:a.NonceSize()], ciphertext[a.NonceSize():], associated)
	if err != nil {
		return nil, eventstore.ErrDamaged
	}
	return out, nil
}

func mark(secret [32]byte, label string, parts ...[]byte) (m eventstore.Mark) {
	h := hmac.New(sha256.New, secret[:])
	h.Write([]byte(label))
	h.Write([]byte{0})
	for _, part := range parts {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		h.Write(part)
	}
	copy(m[:], h.Sum(nil))
	return m
}
