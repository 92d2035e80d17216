package keyvault

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/secret"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
)

// tenantKeys are the keys that stand in a tenant's root node.
type tenantKeys struct {
	control, meta, metaHash, outbox secret.Bytes
	// floor: no data key is made any more for a month below. expired: retention has destroyed the data keys of the months below, but for persons on
	// hold. They differ while a run is under way.
	floor, expired eventstore.KeyMonth
	// refusals is a key for each term that is not over.
	refusals map[term]secret.Bytes
}

// keysHead is the size of what stands before the refusals.
const keysHead = 1 + 2 + 2 + 4*keySize

func newTenantKeys(entropy io.Reader) (*tenantKeys, error) {
	k := &tenantKeys{refusals: map[term]secret.Bytes{}}
	for _, p := range []*secret.Bytes{&k.control, &k.meta, &k.metaHash, &k.outbox} {
		var err error
		if *p, err = secret.Random(entropy, keySize); err != nil {
			return nil, err
		}
	}
	return k, nil
}

func (k *tenantKeys) encode() secret.Bytes {
	b := binary.BigEndian.AppendUint16([]byte{recordVersion}, uint16(k.floor))
	b = binary.BigEndian.AppendUint16(b, uint16(k.expired))
	for _, s := range []secret.Bytes{k.control, k.meta, k.metaHash, k.outbox} {
		b = append(b, s.Reveal()...)
	}
	for _, n := range slices.Sorted(maps.Keys(k.refusals)) {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
		b = append(b, k.refusals[n].Reveal()...)
	}
	return secret.New(b)
}

func decodeTenantKeys(s secret.Bytes) (*tenantKeys, error) {
	b := s.Reveal()
	if len(b) == 0 || b[0] <= recordVersion && (len(b) < keysHead || (len(b)-keysHead)%(8+keySize) != 0) {
		return nil, fmt.Errorf("vault: the root node's keys are cut: %w", eventstore.ErrDamaged)
	}
	if b[0] > recordVersion {
		return nil, fmt.Errorf("vault: the root node's keys: %w", eventstore.ErrNewerVersion)
	}
	in := &reader{b: b[1:]}
	k := &tenantKeys{refusals: map[term]secret.Bytes{}}
	k.floor = eventstore.KeyMonth(binary.BigEndian.Uint16(in.fixed(2)))
	k.expired = eventstore.KeyMonth(binary.BigEndian.Uint16(in.fixed(2)))
	k.control, k.meta, k.metaHash, k.outbox = in.secret(), in.secret(), in.secret(), in.secret()
	for len(in.b) > 0 {
		n := term(binary.BigEndian.Uint64(in.fixed(8)))
		k.refusals[n] = in.secret()
	}
	return k, nil
}

// copy is one with memory of its own.
func (k *tenantKeys) copy() *tenantKeys {
	b := k.encode()
	defer b.Wipe()
	c, err := decodeTenantKeys(b)
	if err != nil {
		panic("vault: a tenant's keys do not read as they are written")
	}
	return c
}

// clone is a copy whose list of refusals can be changed.
func (k *tenantKeys) clone() *tenantKeys {
	c := *k
	c.refusals = maps.Clone(k.refusals)
	return &c
}

func (k *tenantKeys) wipe() {
	for _, s := range []secret.Bytes{k.control, k.meta, k.metaHash, k.outbox} {
		s.Wipe()
	}
	for _, s := range k.refusals {
		s.Wipe()
	}
}

// sealRow seals what is bound to a row key or another label.
func (v *Vault) sealRow(key secret.Bytes, row, plain []byte) ([]byte, error) {
	a, err := subtle.NewAESGCM(key.Reveal())
	if err != nil {
		return nil, err
	}
	return a.Encrypt(plain, v.associated(row))
}

// openRow opens what sealRow sealed; what names it in an error.
func (v *Vault) openRow(key secret.Bytes, row, sealed []byte, what string) ([]byte, error) {
	a, err := subtle.NewAESGCM(key.Reveal())
	if err != nil {
		return nil, err
	}
	plain, err := a.Decrypt(sealed, v.associated(row))
	if err != nil {
		return nil, fmt.Errorf("vault: %s does not open: %w", what, eventstore.ErrDamaged)
	}
	return plain, nil
}

func (v *Vault) associated(row []byte) []byte {
	a := append([]byte("oubli/vault/1\x00"), v.id[:]...)
	return append(a, row...)
}
