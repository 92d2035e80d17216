package streams

import (
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/streams/journal"
)

// promise is a caller to be answered with its place once the group is durable.
type promise struct {
	item *item
	out  eventstore.Appended
}

// plan is what a group comes to: the entries that are stored, and who waits for them.
type plan struct {
	group    journal.Group
	rows     []rowAt
	promises []promise
	last     map[eventstore.PersonID]uint64 // of the group's persons, once somebody asked
}

// commit takes one group to the disk and the stream and answers its callers.
func (w *writer) commit(items []*item) {
	if err := w.ready(); err != nil {
		refuse(items, err)
		return
	}
	p := w.decide(items)
	if len(p.group.Entries) == 0 {
		return
	}
	if err := w.j.Append(p.group); err != nil {
		// Nothing was sent. Once a new segment stands the record is void, and the answer is sure.
		w.s.c.Logger.Error("the journal cannot be written", "stream", w.spec.stream(), "error", err)
		w.recent.drop(p.rows)
		if w.repair() == nil {
			p.answer(unavailable(err))
		} else {
			p.answer(uncertain(err))
		}
		return
	}
	w.beginSync(p)
	var sending *window
	var failed error
	if !w.behind() {
		sending, failed = w.send(p.group)
	}
	w.settlePending()
	if err := <-w.syncs; err == nil {
		w.noteJournalled(p)
	} else {
		// What was sent may be in the stream: these entries, and no others, must come next in the journal.
		w.s.c.Logger.Error("the journal cannot be synced", "stream", w.spec.stream(), "error", err)
		w.orphan = p
		if w.repair() != nil {
			p.answer(uncertain(err))
			return
		}
	}
	for _, pr := range p.promises {
		if pr.item.journalled {
			pr.item.answer(pr.out, nil)
		}
	}
	if sending != nil && failed == nil {
		failed = w.pub.wait(w.ctx, sending, w.s.c.AnswerWithin/2)
	}
	if sending != nil && failed == nil {
		w.published = w.journalled
		w.advance()
		p.answer(nil)
		return
	}
	w.fallBehind(p, failed)
}

// ready says whether the loop can take a group, after putting right what it can.
func (w *writer) ready() error {
	if err := w.err(); err != nil {
		return err
	}
	if w.j.Failed() != nil {
		if err := w.repair(); err != nil {
			return unavailable(err)
		}
		w.retryAt = time.Time{}
	}
	if w.pending != nil && len(w.pending.rows) > 4*groupCount {
		return errIndex
	}
	if w.behind() && !time.Now().Before(w.retryAt) {
		w.tryCatchUp()
	}
	return w.err()
}

func refuse(items []*item, err error) {
	for _, it := range items {
		it.answer(eventstore.Appended{}, err)
	}
}

// answer answers all that still wait.
func (p *plan) answer(err error) {
	for _, pr := range p.promises {
		if err != nil {
			pr.item.answer(eventstore.Appended{}, err)
		} else {
			pr.item.answer(pr.out, nil)
		}
	}
}

// decide gives each item its sequence, or its answer.
func (w *writer) decide(items []*item) *plan {
	p := &plan{promises: make([]promise, 0, len(items))}
	p.group.First = w.journalled + 1
	p.group.Entries = make([]journal.Entry, 0, len(items))
	generation := w.generation.Load() + 1
	if w.pending != nil {
		generation++
	}
	behind := w.behind()
	for _, it := range items {
		found, err := w.lookup(it)
		switch {
		case err != nil:
			it.answer(eventstore.Appended{}, unavailable(err))
			continue
		case found >= p.group.First:
			p.promises = append(p.promises, promise{it, eventstore.Appended{Sequence: found, Duplicate: true}})
			continue
		case found > w.published && !it.journalled:
			w.hold(promise{it, eventstore.Appended{Sequence: found, Duplicate: true}})
			continue
		case found != 0:
			it.answer(eventstore.Appended{Sequence: found, Duplicate: true}, nil)
			continue
		case behind && !it.journalled:
			it.answer(eventstore.Appended{}, unavailable(errBehind))
			continue
		}
		if it.expected != nil {
			if err := w.expect(p, it); err != nil {
				it.answer(eventstore.Appended{}, err)
				continue
			}
		}
		sequence := p.group.First + uint64(len(p.group.Entries))
		p.group.Entries = append(p.group.Entries, it.entry)
		p.promises = append(p.promises, promise{it, eventstore.Appended{Sequence: sequence}})
		if p.last != nil {
			p.last[it.person()] = sequence
		}
		if it.entry.Row != (row{}) {
			w.recent.add(&it.entry.Row, sequence, generation)
			p.rows = append(p.rows, rowAt{it.entry.Row, sequence, it.month})
		}
	}
	return p
}

// expect checks the expected last sequence of an item's person, the group's earlier items counted.
func (w *writer) expect(p *plan, it *item) error {
	if p.last == nil {
		p.last = map[eventstore.PersonID]uint64{}
		for i, e := range p.group.Entries {
			p.last[eventstore.PersonID(e.Person)] = p.group.First + uint64(i)
		}
	}
	last, ok := p.last[it.person()]
	if !ok {
		if w.behind() {
			return unavailable(errBehind)
		}
		var err error
		if last, err = w.remote.lastOf(w.ctx, w.spec.of(it.person()), w.published); err != nil {
			return err
		}
		if last <= w.mark.floor {
			last = 0
		}
		p.last[it.person()] = last
	}
	if last != *it.expected {
		return eventstore.ErrConflict
	}
	return nil
}

// send begins to publish a group.
func (w *writer) send(g journal.Group) (*window, error) {
	win := w.pub.begin(g.First, len(g.Entries))
	for i := range g.Entries {
		e := &g.Entries[i]
		if err := w.pub.send(win, w.spec.subject(eventstore.PersonID(e.Person), e.Data), e.Data); err != nil {
			return win, err
		}
	}
	return win, nil
}

// noteJournalled moves the mark over a group that is synced.
func (w *writer) noteJournalled(p *plan) {
	w.journalled = p.group.Last()
	w.dirty = true
	w.mark.last = w.journalled
	w.mark.anchor = w.journalled
	w.mark.event = w.spec.event(p.group.Entries[len(p.group.Entries)-1].Data)
	if w.pending != nil { // the index could not take the group before
		p.rows = append(w.pending.rows, p.rows...)
	}
	w.pending = &change{spec: w.spec, mark: w.mark, rows: p.rows}
}
