package rights

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// book holds the erasures that are not completed, in memory, so that every call for a person joins the one there is. What is in it can be
// read again from TableErasures.
type book struct {
	mu      sync.Mutex
	tenants map[eventstore.TenantID]*page
}

// page is one tenant's part of the book.
type page struct {
	// opening is held from looking for a person's erasure to having one, so that there is never a second.
	opening lock
	loaded  bool // guarded by opening
	// certifying is held while an issue of a certificate is made and stored, so that they have one order. It comes after a run's lock.
	certifying lock

	mu   sync.Mutex
	runs map[string]*run
	of   map[eventstore.PersonID]*run
}

// run is one erasure that is not completed.
type run struct {
	// lock is held by whoever takes the next step; it guards the fields below, down to shredded.
	lock    lock
	row     row
	request Request
	// scope is that of the row, under the page's mutex, for who does not hold the lock.
	scope eventstore.Scope
	// filed: the intent is stored. dirty: row holds more than what is stored. uncertain: the ledger may hold its entry, so it cannot be
	// withdrawn. withdrawn: it is no more.
	filed, dirty, uncertain, withdrawn bool
	// lookAgain is when traces of its messages are looked for again.
	lookAgain time.Time
	// shredded is the answer once there is one, for those who must not wait for the removal.
	shredded atomic.Pointer[Erasure]
}

// lock is a mutex that one can stop waiting for.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

func (l lock) acquire(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return eventstore.ErrUnavailable.Because(ctx.Err())
	}
}

func (l lock) release() { <-l }

// page finds a tenant's page and reads it from the register the first time.
func (s *Service) page(ctx context.Context, tenant eventstore.TenantID) (*page, error) {
	s.book.mu.Lock()
	p := s.book.tenants[tenant]
	if p == nil {
		p = &page{opening: newLock(), certifying: newLock(), runs: map[string]*run{}, of: map[eventstore.PersonID]*run{}}
		s.book.tenants[tenant] = p
	}
	s.book.mu.Unlock()
	if err := p.opening.acquire(ctx); err != nil {
		return nil, err
	}
	defer p.opening.release()
	if p.loaded {
		return p, nil
	}
	rows, _, err := s.rows(ctx, tenant)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if r.reached(Completed) {
			continue
		}
		w := &run{lock: newLock(), row: r, scope: r.Scope, filed: true, uncertain: true}
		if r.reached(Shredded) {
			answer := r.answer()
			w.shredded.Store(&answer)
		}
		p.add(w)
	}
	p.loaded = true
	return p, nil
}

// add puts a run, or persons that joined it, into the index. The caller holds the run's lock or is the only one to know it.
func (p *page) add(w *run) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.runs[w.row.ID] = w
	if w.row.partial() && w.row.reached(Shredded) {
		return // what is asked of its persons next is another erasure
	}
	for _, person := range w.row.Led {
		p.of[person] = w
	}
}

func (p *page) remove(w *run) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.runs, w.row.ID)
	maps.DeleteFunc(p.of, func(_ eventstore.PersonID, v *run) bool { return v == w })
}

// has says whether a run is still to be completed.
func (p *page) has(w *run) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.runs[w.row.ID] == w
}

// find is the run that one of the persons is in, or nil.
func (p *page) find(persons ...eventstore.PersonID) *run {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, person := range persons {
		if w := p.of[person]; w != nil {
			return w
		}
	}
	return nil
}

// pending lists the runs, oldest first.
func (p *page) pending() []*run {
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := slices.SortedFunc(maps.Keys(p.runs), strings.Compare)
	out := make([]*run, len(ids))
	for i, id := range ids {
		out[i] = p.runs[id]
	}
	return out
}
