package ledger

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/keystest"
)

// knownCheckpoint is a checkpoint and its note under the key that the stream of ChaCha8 under the zero seed gives. Ed25519 signs the same text to the same bytes, so
// it is made anew by printing what Sign returns.
const (
	knownPublic = "oubli/07000000000000000000000000000000/default+c19a1c5a+AXX8yEKexoMqBPPwG4pGAhhjo5CyiHLiJZ7p3jg0aJZM"
	knownNote   = "oubli/07000000000000000000000000000000/default\n17\nAQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n" +
		"— oubli/07000000000000000000000000000000/default wZocWo/moytFjUPAc0EL0YyY2sItz8hLxqsQTETjBVn2tMfJCa7YQd3ZZeseTSPLowKiOeloPHZ5Vqrl1yRy19RVnA4=\n"
)

func signer(t *testing.T) (*Signer, *keystest.Fake) {
	t.Helper()
	keys := keystest.New()
	for _, id := range []eventstore.TenantID{tenant, "acme"} {
		if err := keys.CreateTenant(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	return NewSigner(eventstore.VaultID{7}, keys, rand.NewChaCha8([32]byte{})), keys
}

func TestCheckpoint(t *testing.T) {
	s, keys := signer(t)
	head := Head{Size: 17, Root: [32]byte{1, 2, 3}}
	signed, err := s.Sign(t.Context(), tenant, head)
	if err != nil {
		t.Fatal(err)
	}
	public, err := s.Public(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	c, err := OpenCheckpoint(signed, public)
	if err != nil || c != (Checkpoint{eventstore.VaultID{7}, tenant, head}) {
		t.Errorf("%+v, %v", c, err)
	}
	if public != knownPublic || string(signed) != knownNote {
		t.Errorf("the known answer is another one:\n%s\n%s", public, signed)
	}
	again, err := NewSigner(eventstore.VaultID{7}, keys, nil).Public(t.Context(), tenant)
	if err != nil || again != public {
		t.Errorf("another process has the key %q, %v", again, err)
	}
	if _, err := NewSigner(eventstore.VaultID{8}, keys, nil).Sign(t.Context(), tenant, head); !errors.Is(err, eventstore.ErrDamaged) {
		t.Errorf("the key of another vault: %v", err)
	}
	other, err := s.Public(t.Context(), "acme")
	if err != nil || other == public {
		t.Errorf("two tenants have one key: %v", err)
	}
	if _, err := OpenCheckpoint(signed, other); !errors.Is(err, eventstore.ErrDamaged) {
		t.Errorf("under another tenant's key: %v", err)
	}
}

// No byte of a note or of its key can be changed, left out or doubled.
func TestCheckpointDamage(t *testing.T) {
	s, _ := signer(t)
	signed, err := s.Sign(t.Context(), tenant, Head{Size: 17, Root: [32]byte{1, 2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	public, _ := s.Public(t.Context(), tenant)
	refused := func(what string, i int, signed []byte, public string) {
		t.Helper()
		if c, err := OpenCheckpoint(signed, public); !errors.Is(err, eventstore.ErrDamaged) || c != (Checkpoint{}) {
			t.Errorf("%s at byte %d: %+v, %v", what, i, c, err)
		}
	}
	for i := range signed {
		for bit := range 8 {
			bad := bytes.Clone(signed)
			bad[i] ^= 1 << bit
			refused("a flipped bit", i, bad, public)
		}
		refused("a cut", i, signed[:i], public)
		refused("a byte left out", i, append(bytes.Clone(signed[:i]), signed[i+1:]...), public)
		refused("a byte put in", i, append(append(bytes.Clone(signed[:i]), '\n'), signed[i:]...), public)
	}
	for i := range public {
		bad := []byte(public)
		bad[i] ^= 1
		refused("another key", i, signed, string(bad))
	}
}

func TestSignersRace(t *testing.T) {
	_, keys := signer(t)
	var wg sync.WaitGroup
	publics := make([]string, 8)
	for i := range publics {
		wg.Go(func() {
			var err error
			if publics[i], err = NewSigner(eventstore.VaultID{7}, keys, nil).Public(t.Context(), tenant); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, p := range publics {
		if p != publics[0] {
			t.Error("two processes made two keys")
		}
	}
}
