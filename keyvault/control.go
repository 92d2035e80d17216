package keyvault

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/fxamacker/cbor/v2"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/secret"
)

// SealControl implements [eventstore.Keys].
func (v *Vault) SealControl(_ context.Context, tenant eventstore.TenantID, plaintext, associated []byte) ([]byte, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return nil, err
	}
	if err := t.enterShared(); err != nil {
		return nil, err
	}
	defer t.mu.RUnlock()
	return v.sealRow(t.own.control, t.row(0, associated), plaintext)
}

// OpenControl implements [eventstore.Keys].
func (v *Vault) OpenControl(_ context.Context, tenant eventstore.TenantID, ciphertext, associated []byte) ([]byte, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return nil, err
	}
	if err := t.enterShared(); err != nil {
		return nil, err
	}
	defer t.mu.RUnlock()
	return v.openRow(t.own.control, t.row(0, associated), ciphertext, "a control message")
}

// lastOwed makes ids of owed events ascend, so that the outbox is in order.
type lastOwed struct {
	mu   sync.Mutex
	last eventstore.EventID
}

func (l *lastOwed) next(now time.Time, entropy io.Reader) (eventstore.EventID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if least := l.last.Received().Add(time.Millisecond); now.Before(least) {
		now = least
	}
	id, err := eventstore.NewEventID(now, entropy)
	if err == nil {
		l.last = id
	}
	return id, err
}

func (t *tenant) putOwed(b batch, key secret.Bytes, o eventstore.Owed) error {
	plain, err := cbor.Marshal(o.Event)
	if err != nil {
		return fmt.Errorf("vault: encoding an owed event: %w", err)
	}
	row := t.row(rowOutbox, o.ID[:])
	sealed, err := t.v.sealRow(key, row, plain)
	if err != nil {
		return err
	}
	return b.Set(row, sealed)
}

// outbox reads what is owed; mu is held.
func (t *tenant) outbox() (out []eventstore.Owed, err error) {
	prefix := t.row(rowOutbox)
	err = rows{t.v.db}.Scan(prefix, func(key, value []byte) error {
		plain, err := t.v.openRow(t.own.outbox, key, value, "an outbox row")
		if err != nil {
			return err
		}
		o := eventstore.Owed{ID: eventstore.EventID(key[len(prefix):])}
		if err := cbor.Unmarshal(plain, &o.Event); err != nil {
			return fmt.Errorf("vault: an outbox row is not CBOR: %w", eventstore.ErrDamaged)
		}
		out = append(out, o)
		return nil
	})
	return out, err
}

// Outbox implements [eventstore.Keys].
func (v *Vault) Outbox(_ context.Context, tenant eventstore.TenantID) ([]eventstore.Owed, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return nil, err
	}
	if err := t.enterShared(); err != nil {
		return nil, err
	}
	defer t.mu.RUnlock()
	return t.outbox()
}

// Sent implements [eventstore.Keys].
func (v *Vault) Sent(_ context.Context, tenant eventstore.TenantID, id eventstore.EventID) error {
	t, err := v.tenant(tenant)
	if err != nil {
		return err
	}
	if err := t.enterShared(); err != nil {
		return err
	}
	defer t.mu.RUnlock()
	b := v.batch()
	defer b.Close()
	if err := b.Delete(t.row(rowOutbox, id[:])); err != nil {
		return err
	}
	return v.commit(b, pebble.Sync)
}
