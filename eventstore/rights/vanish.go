package rights

import (
	"context"
	"errors"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// Search is what the last search for traces of removed messages found.
type Search string

// The results.
const (
	// SearchJournal: the journal of the log still holds messages. They go when it is trimmed.
	SearchJournal Search = "journal"
	// SearchFiles: a file of the stream still holds them.
	SearchFiles Search = "files"
	// SearchNothing: nothing was found, in the journal and in every file of the stream.
	SearchNothing Search = "nothing"
	// SearchJournalOnly: nothing was found in the journal; the files belong to another server, which has answered that the messages are destroyed.
	SearchJournalOnly Search = "journal-only"
)

// saveEvery is how often a removal's progress is stored.
const saveEvery = time.Second

// remove is the sweep of step 8.
func (s *Service) remove(ctx context.Context, tenant eventstore.TenantID, p *page, w *run) error {
	return s.later(ctx, tenant, w, func() error {
		switch {
		case w.row.reached(Completed):
			p.remove(w)
			return nil
		case w.row.reached(Removed):
			return s.complete(ctx, tenant, p, w)
		case !w.row.Swept.IsZero() || !w.row.reached(Projected) || s.now().Sub(w.row.Stages[Shredded]) < s.c.Settle:
			return nil
		}
		return s.sweepMessages(ctx, tenant, w)
	})
}

// sweepMessages removes a run's messages. Swept is set unless some came in meanwhile: they are for the next sweep.
func (s *Service) sweepMessages(ctx context.Context, tenant eventstore.TenantID, w *run) error {
	going, err := s.removal(ctx, tenant, w)
	if err != nil {
		return err
	}
	before, saved := w.row.RemovedMessages, s.now()
	err = s.c.Log.Remove(ctx, tenant, going, func(done, left uint64) {
		w.row.RemovedMessages, w.row.LeftMessages = before+done, left
		if now := s.now(); now.Sub(saved) >= saveEvery {
			saved = now
			_ = s.save(ctx, tenant, w) // for those who ask; the row is saved again in the end
		}
	})
	if err == nil {
		err = s.removeChunks(ctx, tenant, w)
	}
	if err != nil {
		return errors.Join(err, s.save(ctx, tenant, w))
	}
	left, err := s.leftChunks(ctx, tenant, w)
	if err != nil {
		return err
	}
	for _, person := range w.row.Persons {
		if w.row.partial() {
			break // nothing comes in behind what was announced
		}
		n, err := s.c.Log.Count(ctx, tenant, person)
		if err != nil {
			return err
		}
		left += n
	}
	w.row.LeftMessages, w.row.Swept = left, time.Time{}
	if left == 0 {
		w.row.Swept = s.now()
	}
	return s.save(ctx, tenant, w)
}

// vanish ends step 8 for all runs that were swept long enough ago: a second sweep takes what was in flight, then one search of the log's and the
// stream's files looks for all their persons. Those of whom nothing is left are done; the others are searched for again later.
func (s *Service) vanish(ctx context.Context, tenants []eventstore.TenantID) {
	for _, tenant := range tenants {
		p, err := s.page(ctx, tenant)
		if err == nil {
			err = s.vanishFrom(ctx, tenant, p)
		}
		if err != nil && ctx.Err() == nil {
			s.c.Logger.Warn("erasures wait: what is left of them cannot be looked for", "tenant", tenant, "error", err)
		}
	}
}

func (s *Service) vanishFrom(ctx context.Context, tenant eventstore.TenantID, p *page) error {
	var failed []error
	var due []*run
	var of, ofChunks []eventstore.Removed
	for _, w := range p.pending() {
		err := s.later(ctx, tenant, w, func() error {
			gone, err := s.sweptAgain(ctx, tenant, w)
			if err != nil || gone == nil {
				return err
			}
			due, of = append(due, w), append(of, gone...)
			ofChunks = append(ofChunks, chunksOf(&w.row)...)
			return nil
		})
		failed = append(failed, err)
	}
	if len(due) == 0 {
		return errors.Join(failed...)
	}
	found, err := s.c.Log.Traces(ctx, tenant, of)
	if err == nil {
		found, err = s.chunkTraces(ctx, tenant, ofChunks, found)
	}
	if err != nil {
		return errors.Join(append(failed, err)...)
	}
	for _, w := range due {
		failed = append(failed, s.later(ctx, tenant, w, func() error { return s.searched(ctx, tenant, p, w, found) }))
	}
	return errors.Join(failed...)
}

// sweptAgain is the second sweep. It gives what is to be looked for, nil if it is not time or something came in.
func (s *Service) sweptAgain(ctx context.Context, tenant eventstore.TenantID, w *run) ([]eventstore.Removed, error) {
	now := s.now()
	if w.row.Swept.IsZero() || w.row.reached(Removed) || now.Sub(w.row.Swept) < s.c.Settle || now.Before(w.lookAgain) {
		return nil, nil
	}
	swept, removed := w.row.Swept, w.row.RemovedMessages
	if err := s.sweepMessages(ctx, tenant, w); err != nil || w.row.Swept.IsZero() || w.row.RemovedMessages != removed {
		return nil, err
	}
	w.row.Swept = swept // nothing came in since
	going, err := s.removal(ctx, tenant, w)
	if err != nil {
		return nil, err
	}
	of := make([]eventstore.Removed, 0, len(going.Persons))
	for _, person := range going.Persons {
		of = append(of, eventstore.Removed{Person: person, Below: going.Below})
	}
	return of, s.save(ctx, tenant, w)
}

// searched notes what a search found, and ends the run if that is nothing.
func (s *Service) searched(ctx context.Context, tenant eventstore.TenantID, p *page, w *run, found eventstore.Traces) error {
	w.row.Search = SearchNothing
	if !found.Searched {
		w.row.Search = SearchJournalOnly
	}
	left := false
	for _, person := range w.row.Persons {
		if !found.Found(person) {
			continue
		}
		if !left {
			w.row.Search = SearchFiles
		}
		left = true
		for _, q := range found.Journal {
			if q == person {
				w.row.Search = SearchJournal
			}
		}
	}
	if left {
		w.lookAgain = s.now().Add(s.c.Settle)
		return s.save(ctx, tenant, w)
	}
	if err := s.reach(ctx, tenant, w, Removed); err != nil {
		return err
	}
	return s.complete(ctx, tenant, p, w)
}
