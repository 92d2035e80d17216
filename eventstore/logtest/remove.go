package logtest

import (
	"bytes"
	"context"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/envelope"
)

// Remove implements [eventstore.Log].
func (f *Fake) Remove(ctx context.Context, id eventstore.TenantID, r eventstore.Removal, progress func(done, left uint64)) error {
	removed, err := f.remove(id, r)
	if err != nil {
		return err
	}
	if progress != nil {
		progress(removed, 0)
	}
	return nil
}

func (f *Fake) remove(id eventstore.TenantID, r eventstore.Removal) (removed uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.tenant(id)
	if err != nil {
		return 0, err
	}
	if slices.Contains(r.Persons, eventstore.PersonID{}) {
		return 0, eventstore.Refuse(eventstore.KindInvalid, "persons", "the zero person cannot be removed")
	}
	for _, at := range r.Control {
		if at > 0 && at <= uint64(len(t.messages)) && t.messages[at-1] != nil && !t.messages[at-1].Person.IsZero() {
			return 0, eventstore.Refuse(eventstore.KindInvalid, "control", "a message that is to be removed as control message is another")
		}
	}
	for i, m := range t.messages {
		if m == nil {
			continue
		}
		theirs := !m.Person.IsZero() && slices.Contains(r.Persons, m.Person) && (r.Below == 0 || m.Sequence < r.Below)
		named := slices.Contains(r.Attachments, eventstore.Attachment{Person: m.Person, ID: m.Envelope.Event})
		if theirs || named || slices.Contains(r.Control, m.Sequence) {
			t.messages[i] = nil
			removed++
		}
	}
	for key := range t.rows {
		if slices.ContainsFunc(r.Prefixes, func(p [8]byte) bool { return bytes.HasPrefix(key[:], p[:]) }) {
			delete(t.rows, key)
		}
	}
	return removed, nil
}

// Traces implements [eventstore.Log]: what [Fake.Leave] left, of those that are asked for.
func (f *Fake) Traces(ctx context.Context, id eventstore.TenantID, of []eventstore.Removed) (eventstore.Traces, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.readable(ctx, id)
	if err != nil {
		return eventstore.Traces{}, err
	}
	out := eventstore.Traces{Searched: f.traces.Searched}
	for _, r := range of {
		stored := slices.ContainsFunc(t.messages, func(m *message) bool {
			return m != nil && m.Person == r.Person && (r.Below == 0 || m.Sequence < r.Below) &&
				(r.Attachments == nil || slices.Contains(r.Attachments, eventstore.AttachmentID(m.Envelope.Event)))
		})
		switch {
		case slices.Contains(f.traces.Journal, r.Person):
			out.Journal = append(out.Journal, r.Person)
		case stored || slices.Contains(f.traces.Files, r.Person):
			out.Files = append(out.Files, r.Person)
		}
	}
	return out, nil
}

// Expire implements [eventstore.Log].
func (f *Fake) Expire(ctx context.Context, id eventstore.TenantID, before eventstore.KeyMonth, spared func(eventstore.PersonID) bool, progress func(done, left uint64)) error {
	if uint16(before) == envelope.ControlMonth {
		return eventstore.Refuse(eventstore.KindInvalid, "before", "there is no such month")
	}
	f.mu.Lock()
	t, err := f.tenant(id)
	if err != nil {
		f.mu.Unlock()
		return err
	}
	all := slices.Clone(t.messages)
	f.mu.Unlock()

	going := map[uint64]bool{}
	stays := map[uint64]bool{}
	for _, m := range all { // unlocked: spared may read
		if m == nil || m.Person.IsZero() || m.Envelope.Month >= uint16(before) {
			continue
		}
		kept := spared != nil && spared(m.Person)
		going[m.Sequence], stays[m.Sequence] = !kept, kept
	}

	f.mu.Lock()
	var done uint64
	for i, m := range t.messages {
		if m != nil && going[m.Sequence] {
			t.messages[i] = nil
			done++
		}
	}
	for key, at := range t.rows {
		if at.month < uint16(before) && at.sequence <= uint64(len(all)) && !stays[at.sequence] {
			delete(t.rows, key)
		}
	}
	f.mu.Unlock()
	if progress != nil {
		progress(done, 0)
	}
	return ctx.Err()
}
