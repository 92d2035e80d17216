package keyvault

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// gateKey names a person in the cache.
type gateKey struct {
	tenant uint32
	person eventstore.PersonID
}

const gateShards = 64

// gates is the bounded cache of opened records, least recently used out first; one that is held is never put out.
type gates struct {
	shards [gateShards]gateShard
	limit  int
}

type gateShard struct {
	mu   sync.Mutex
	m    map[gateKey]*opened
	list opened // ring; list.next is the most recently used
}

func newGates(size int) *gates {
	g := &gates{limit: max(1, size/gateShards)}
	for i := range g.shards {
		s := &g.shards[i]
		s.m = map[gateKey]*opened{}
		s.list.prev, s.list.next = &s.list, &s.list
	}
	return g
}

func (g *gates) shard(k gateKey) *gateShard { return &g.shards[k.person[15]%gateShards] }

func (o *opened) key() gateKey { return gateKey{o.t.index, o.person} }

func (s *gateShard) front(o *opened) {
	o.next, o.prev = s.list.next, &s.list
	o.next.prev, o.prev.next = o, o
}

func (o *opened) unlink() { o.prev.next, o.next.prev = o.next, o.prev }

// get takes a gate of a person who is in the cache.
func (g *gates) get(k gateKey) (*gate, error) {
	s := g.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.m[k]
	if o == nil {
		return nil, nil
	}
	if o.fenced {
		return nil, eventstore.ErrFenced
	}
	o.holders++
	o.unlink()
	s.front(o)
	return &gate{o: o}, nil
}

// put adds a person, held by the gate that it returns; one that is there already is taken instead.
func (g *gates) put(t *tenant, id eventstore.PersonID, r *record) *gate {
	s := g.shard(gateKey{t.index, id})
	s.mu.Lock()
	defer s.mu.Unlock()
	k := gateKey{t.index, id}
	o := s.m[k]
	if o == nil {
		o = &opened{t: t, person: id, rec: r}
		s.m[k] = o
		s.front(o)
		s.evict(g.limit)
	}
	o.holders++
	return &gate{o: o}
}

// mint adds a person who was just minted; whoever wants a gate of theirs waits until it settles.
func (g *gates) mint(t *tenant, id eventstore.PersonID, r *record) *gate {
	k := gateKey{t.index, id}
	s := g.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &opened{t: t, person: id, rec: r, holders: 1, unsynced: make(chan struct{})}
	s.m[k] = o
	s.front(o)
	s.evict(g.limit)
	return &gate{o: o}
}

// evict puts out what is too much; the shard's mutex is held, and nobody uses what has no holders.
func (s *gateShard) evict(limit int) {
	for o := s.list.prev; o != &s.list && len(s.m) > limit; {
		old := o
		o = o.prev
		if old.holders > 0 || old.fenced {
			continue
		}
		if old == s.list.next {
			return // just put in
		}
		old.unlink()
		delete(s.m, old.key())
		old.kill(errReleased)
	}
}

func (g *gates) release(o *opened) {
	s := g.shard(o.key())
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.holders--; o.holders == 0 && o.idle != nil {
		close(o.idle)
		o.idle = nil
	}
}

func (g *gates) update(t *tenant, id eventstore.PersonID, r *record) {
	k := gateKey{t.index, id}
	s := g.shard(k)
	s.mu.Lock()
	o := s.m[k]
	s.mu.Unlock()
	if o != nil {
		o.update(r)
	}
}

func (g *gates) expire(k gateKey, floor eventstore.KeyMonth) {
	s := g.shard(k)
	s.mu.Lock()
	o := s.m[k]
	s.mu.Unlock()
	if o != nil {
		o.expire(floor)
	}
}

// fence refuses new gates of a person.
func (g *gates) fence(k gateKey) {
	s := g.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.m[k]; o != nil {
		o.fenced = true
	}
}

// drain waits until nobody holds a fenced person, or until deadline, and kills what is left.
func (g *gates) drain(ctx context.Context, k gateKey, deadline time.Time) error {
	s := g.shard(k)
	s.mu.Lock()
	o := s.m[k]
	if o == nil {
		s.mu.Unlock()
		return nil
	}
	var idle chan struct{}
	if o.holders > 0 {
		if o.idle == nil {
			o.idle = make(chan struct{})
		}
		idle = o.idle
	}
	s.mu.Unlock()
	if idle != nil {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		select {
		case <-idle:
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	g.remove(k, eventstore.ErrFenced)
	return nil
}

// remove takes a person out of the cache and kills their gates.
func (g *gates) remove(k gateKey, why error) {
	s := g.shard(k)
	s.mu.Lock()
	o := s.m[k]
	if o != nil {
		o.unlink()
		delete(s.m, k)
	}
	s.mu.Unlock()
	if o != nil {
		o.kill(why)
	}
}

// removeAll takes out whoever match says.
func (g *gates) removeAll(why error, match func(gateKey) bool) {
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		keys := make([]gateKey, 0, len(s.m))
		for k := range maps.Keys(s.m) {
			if match(k) {
				keys = append(keys, k)
			}
		}
		s.mu.Unlock()
		for _, k := range keys {
			g.remove(k, why)
		}
	}
}
