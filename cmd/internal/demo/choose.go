package demo

import (
	"iter"

	"github.com/oubli-store/oubli/eventstore"
)

// person is one human of the sample: handles that some event linked, and what was said under them.
type person struct {
	handles       map[eventstore.Identity]bool
	email         eventstore.Identity
	events        int
	conversations int
}

// handle is how support staff know the person.
func (p person) handle() string { return p.email.Namespace + ":" + p.email.ID }

// mostEvents is what a person of the demo may have said, so that it can be shown.
const mostEvents = 150

// choose finds the human with the most linked handles, and among these the one who said most. Handles that name two e-mail addresses (a shared computer)
// are left alone: the server does not link them.
func choose(events iter.Seq[eventstore.Event]) person {
	all := map[eventstore.Identity]*person{}
	var last eventstore.ConversationID
	for e := range events {
		if e.Identity == nil {
			continue
		}
		p := of(all, *e.Identity)
		for _, id := range e.Also {
			p = join(all, p, of(all, id))
		}
		p.events++
		if e.Conversation != last {
			p.conversations++
		}
		last = e.Conversation
	}
	best := &person{}
	for _, p := range all {
		if p.emails() == 1 && p.events <= mostEvents && better(p, best) {
			best = p
		}
	}
	for id := range best.handles {
		if id.Namespace == "email" {
			best.email = id
		}
	}
	return *best
}

// better orders persons, always in the same way.
func better(p, q *person) bool {
	if len(p.handles) != len(q.handles) {
		return len(p.handles) > len(q.handles)
	}
	if p.events != q.events {
		return p.events > q.events
	}
	return p.least() < q.least()
}

// least is the first handle by its letters.
func (p *person) least() (s string) {
	for id := range p.handles {
		if t := id.Namespace + ":" + id.ID; s == "" || t < s {
			s = t
		}
	}
	return s
}

func (p *person) emails() (n int) {
	for id := range p.handles {
		if id.Namespace == "email" {
			n++
		}
	}
	return n
}

func of(all map[eventstore.Identity]*person, id eventstore.Identity) *person {
	p := all[id]
	if p == nil {
		p = &person{handles: map[eventstore.Identity]bool{id: true}}
		all[id] = p
	}
	return p
}

// join makes two persons one.
func join(all map[eventstore.Identity]*person, p, q *person) *person {
	if p == q {
		return p
	}
	for id := range q.handles {
		p.handles[id], all[id] = true, p
	}
	p.events += q.events
	p.conversations += q.conversations
	return p
}
