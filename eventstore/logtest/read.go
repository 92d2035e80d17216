package logtest

import (
	"context"
	"iter"

	"github.com/oubli-store/oubli/eventstore"
)

// Read implements [eventstore.Log].
func (f *Fake) Read(ctx context.Context, id eventstore.TenantID, person eventstore.PersonID, after uint64) iter.Seq2[eventstore.Stored, error] {
	return f.messages(ctx, id, after, func(m eventstore.Stored) bool { return m.Person == person })
}

// Replay implements [eventstore.Log].
func (f *Fake) Replay(ctx context.Context, id eventstore.TenantID, after uint64) iter.Seq2[eventstore.Stored, error] {
	return f.messages(ctx, id, after, func(eventstore.Stored) bool { return true })
}

func (f *Fake) messages(ctx context.Context, id eventstore.TenantID, after uint64, want func(eventstore.Stored) bool) iter.Seq2[eventstore.Stored, error] {
	end, err := f.Committed(ctx, id)
	return func(yield func(eventstore.Stored, error) bool) {
		if err != nil {
			yield(eventstore.Stored{}, err)
			return
		}
		for n := after + 1; n <= end; n++ {
			m, there, err := f.message(ctx, id, n)
			if err != nil {
				yield(eventstore.Stored{}, err)
				return
			}
			if there && want(m) && !yield(m, nil) {
				return
			}
		}
	}
}

// message finds a message; false if it was removed or is not committed.
func (f *Fake) message(ctx context.Context, id eventstore.TenantID, sequence uint64) (eventstore.Stored, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.readable(ctx, id)
	if err != nil || sequence == 0 || sequence > t.committed || t.messages[sequence-1] == nil {
		return eventstore.Stored{}, false, err
	}
	return t.messages[sequence-1].Stored, true, nil
}

// readable finds a tenant for reading. The lock is held.
func (f *Fake) readable(ctx context.Context, id eventstore.TenantID) (*tenant, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if f.readErr != nil {
		return nil, f.readErr
	}
	return f.tenant(id)
}

// Get implements [eventstore.Log].
func (f *Fake) Get(ctx context.Context, id eventstore.TenantID, sequence uint64) (eventstore.Stored, error) {
	m, there, err := f.message(ctx, id, sequence)
	if err == nil && !there {
		err = eventstore.ErrNotFound
	}
	return m, err
}

// Committed implements [eventstore.Log].
func (f *Fake) Committed(ctx context.Context, id eventstore.TenantID) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.readable(ctx, id)
	if err != nil {
		return 0, err
	}
	return t.committed, nil
}

// Await implements [eventstore.Log].
func (f *Fake) Await(ctx context.Context, id eventstore.TenantID, after uint64) (uint64, error) {
	for {
		f.mu.Lock()
		changed := f.changed
		t, err := f.readable(ctx, id)
		if err == nil && t.committed > after {
			defer f.mu.Unlock()
			return t.committed, nil
		}
		f.mu.Unlock()
		if err != nil {
			return 0, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// Count implements [eventstore.Log].
func (f *Fake) Count(ctx context.Context, id eventstore.TenantID, person eventstore.PersonID) (n uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.readable(ctx, id)
	if err != nil {
		return 0, err
	}
	for _, m := range t.messages {
		if m != nil && m.Person == person {
			n++
		}
	}
	return n, nil
}

// EraseTenant implements [eventstore.Log].
func (f *Fake) EraseTenant(ctx context.Context, id eventstore.TenantID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.tenants, id)
	for k := range f.records {
		if k.tenant == id {
			delete(f.records, k)
		}
	}
	return nil
}
