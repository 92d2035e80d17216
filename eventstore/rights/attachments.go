package rights

import (
	"context"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
)

// Attachment finds the event of an attachment for who may read it, after the ledger entry; with bot only one of that bot's. ErrWithheld while a member of the
// person's set is restricted; ErrNotFound; other errors as [eventstore.Store.FindAttachment].
func (s *Service) Attachment(ctx context.Context, tenant eventstore.TenantID, actor Actor, bot eventstore.BotID, ref eventstore.AttachmentRef) (eventstore.Recorded, error) {
	set, err := s.linked(ctx, tenant, ref.Person)
	if err != nil {
		return eventstore.Recorded{}, err
	}
	if restricted(set) {
		return eventstore.Recorded{}, eventstore.ErrWithheld
	}
	e, err := s.c.Store.FindAttachment(ctx, tenant, ref)
	if err != nil {
		return eventstore.Recorded{}, err
	}
	if bot != "" && e.Event.Bot != bot {
		return eventstore.Recorded{}, errNoAttachment
	}
	return e, s.record(ctx, tenant, actor, eventstore.ActAttachmentRead, references(set), 1)
}

var errNoAttachment = eventstore.Refuse(eventstore.KindNotFound, "id", "there is no such attachment")

// Attaching makes the ledger entry of who adds a file to a person's events; the handle may still be unknown.
func (s *Service) Attaching(ctx context.Context, tenant eventstore.TenantID, actor Actor, id eventstore.Identity) error {
	var of []eventstore.LedgerReference
	person, err := s.c.Keys.Resolve(ctx, tenant, id)
	if err == nil {
		var set []eventstore.PersonRecord
		if set, err = s.c.Keys.Linked(ctx, tenant, person); err == nil {
			of = references(set)
		}
	}
	if err != nil && !gone(err) {
		return err
	}
	return s.record(ctx, tenant, actor, eventstore.ActAttachmentAdded, of, 1)
}

// removeChunks takes the attachments of a run: all of its persons', or after the erasure of a part those that no event names any more. Those are noted before they
// go, so that their traces can be looked for.
func (s *Service) removeChunks(ctx context.Context, tenant eventstore.TenantID, w *run) error {
	if s.c.Chunks == nil {
		return nil
	}
	going := eventstore.Removal{Persons: w.row.Persons}
	if w.row.partial() {
		found, err := s.c.Store.Unnamed(ctx, tenant, w.row.Persons)
		if err != nil {
			return err
		}
		for _, a := range found {
			if !slices.Contains(w.row.Attachments, a) {
				w.row.Attachments = append(w.row.Attachments, a)
			}
		}
		if len(found) > 0 {
			if err := s.save(ctx, tenant, w); err != nil {
				return err
			}
		}
		going = eventstore.Removal{Attachments: w.row.Attachments}
	}
	before, saved := w.row.RemovedMessages, s.now()
	return s.c.Chunks.Remove(ctx, tenant, going, func(done, left uint64) {
		w.row.RemovedMessages, w.row.LeftMessages = before+done, left
		if now := s.now(); now.Sub(saved) >= saveEvery {
			saved = now
			_ = s.save(ctx, tenant, w)
		}
	})
}

// leftChunks counts what came in while a whole set's chunks were removed.
func (s *Service) leftChunks(ctx context.Context, tenant eventstore.TenantID, w *run) (left uint64, err error) {
	if s.c.Chunks == nil || w.row.partial() {
		return 0, nil
	}
	for _, person := range w.row.Persons {
		n, err := s.c.Chunks.Count(ctx, tenant, person)
		if err != nil {
			return 0, err
		}
		left += n
	}
	return left, nil
}

// chunksOf is what is looked for of a run's attachments.
func chunksOf(r *row) (of []eventstore.Removed) {
	for _, person := range r.Persons {
		look := eventstore.Removed{Person: person}
		for _, a := range r.Attachments {
			if a.Person == person && r.partial() {
				look.Attachments = append(look.Attachments, a.ID)
			}
		}
		if !r.partial() || len(look.Attachments) > 0 {
			of = append(of, look)
		}
	}
	return of
}

// chunkTraces adds what is left of attachments to what is left of messages.
func (s *Service) chunkTraces(ctx context.Context, tenant eventstore.TenantID, of []eventstore.Removed, found eventstore.Traces) (eventstore.Traces, error) {
	if s.c.Chunks == nil || len(of) == 0 {
		return found, nil
	}
	more, err := s.c.Chunks.Traces(ctx, tenant, of)
	if err != nil {
		return found, err
	}
	found.Journal, found.Files = append(found.Journal, more.Journal...), append(found.Files, more.Files...)
	found.Searched = found.Searched && more.Searched
	return found, nil
}

// expireMessages takes the messages of expired months, and the attachments.
func (s *Service) expireMessages(ctx context.Context, tenant eventstore.TenantID, before eventstore.KeyMonth, spared func(eventstore.PersonID) bool,
	progress func(done, left uint64)) error {
	err := s.c.Log.Expire(ctx, tenant, before, spared, progress)
	if err != nil || s.c.Chunks == nil {
		return err
	}
	return s.c.Chunks.Expire(ctx, tenant, before, spared, progress)
}
