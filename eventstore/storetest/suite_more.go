package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/oubli-store/oubli/eventstore"
)

func linked(t *testing.T, s *Suite) {
	visitor := s.MustAppend(t, Message("v", "1 visitor"))
	in := Message("", "2 alice")
	alice := email("alice@example.com")
	in.Identity = &alice
	person := s.MustAppend(t, in)
	login := in
	login.Text, login.Also = "3 login", []eventstore.Identity{web("v")}
	if r := s.MustAppend(t, login); r.Person != person.Person || r.Link != "" {
		t.Errorf("a visitor who logs in: %+v", r)
	}
	s.MustAppend(t, Message("v", "4 visitor"))
	for _, p := range []eventstore.PersonID{visitor.Person, person.Person} {
		s.reads(t, p, "1 visitor", "2 alice", "3 login", "4 visitor")
	}
	got, err := texts(s.Read(t.Context(), Tenant, person.Person, eventstore.ReadOptions{After: visitor.Sequence, Limit: 2}))
	if err != nil || !slices.Equal(got, []string{"2 alice", "3 login"}) {
		t.Errorf("a part of a linked set: %q, %v", got, err)
	}

	var changes []eventstore.PersonEvent
	for _, item := range s.Items(t, 0) {
		if item.Change != nil {
			changes = append(changes, *item.Change)
		}
	}
	if len(changes) != 1 || changes[0].Kind != eventstore.PersonLinked || len(changes[0].Marks) == 0 ||
		!slices.Contains(changes[0].Persons, visitor.Person) || !slices.Contains(changes[0].Persons, person.Person) {
		t.Errorf("person events: %+v", changes)
	}
	if owed, err := s.Keys.Outbox(t.Context(), Tenant); len(owed) != 0 || err != nil {
		t.Errorf("still owed: %+v, %v", owed, err)
	}
}

func ambiguous(t *testing.T, s *Suite) {
	login := func(address string) eventstore.Receipt {
		e := Message("", address)
		id := email(address)
		e.Identity, e.Also = &id, []eventstore.Identity{web("shared")}
		return s.MustAppend(t, e)
	}
	alice, bob := login("alice@example.com"), login("bob@example.com")
	if alice.Link != "" || bob.Link != eventstore.LinkAmbiguous {
		t.Errorf("links: %q, %q", alice.Link, bob.Link)
	}
	s.reads(t, alice.Person, "alice@example.com")
	s.reads(t, bob.Person, "bob@example.com")
}

func consent(t *testing.T, s *Suite) {
	answer := func(granted bool) eventstore.Event {
		e := Message("v", "")
		e.Type, e.Consent = eventstore.TypeConsent, &eventstore.Consent{Purpose: "storage", Granted: granted}
		return e
	}
	first := s.MustAppend(t, Message("v", "un"))
	s.MustAppend(t, answer(false))
	_, err := s.Append(t.Context(), caller, Message("v", "refused"))
	want(t, "Append after a withdrawal", err, eventstore.ErrConsent)
	given := answer(true)
	given.Key = "given"
	s.MustAppend(t, given)
	s.MustAppend(t, Message("v", "deux"))
	s.MustAppend(t, answer(false))
	if r := s.MustAppend(t, given); !r.Duplicate {
		t.Error("not a duplicate")
	}
	_, err = s.Append(t.Context(), caller, Message("v", "refused"))
	want(t, "a repeated consent does not undo a later withdrawal", err, eventstore.ErrConsent)
	s.reads(t, first.Person, "un", "", "", "deux", "")
	s.MustAppend(t, answer(false)) // nothing new
	want1 := []string{"consent-withdrawn storage 1", "consent-given storage 1", "consent-withdrawn storage 1"}
	if got := s.entries.acts(); !slices.Equal(got, want1) {
		t.Errorf("the ledger has %q, want %q", got, want1)
	}

	// What the ledger cannot record has no effect, and what binds one person binds the human.
	s.entries.fail = eventstore.ErrUnavailable
	other := answer(false)
	other.Identity = &eventstore.Identity{Namespace: "web", ID: "w"}
	w := s.MustAppend(t, Message("w", "un"))
	_, err = s.Append(t.Context(), caller, other)
	want(t, "a withdrawal without the ledger", err, eventstore.ErrUnavailable)
	s.MustAppend(t, Message("w", "deux"))
	s.entries.fail = nil
	login := Message("w", "trois")
	login.Also = []eventstore.Identity{email("w@example.com")}
	s.MustAppend(t, Message("", "anonymous"))
	mail := Message("w", "mail")
	mail.Identity = &login.Also[0]
	s.MustAppend(t, mail)
	s.MustAppend(t, login)
	s.MustAppend(t, other)
	_, err = s.Append(t.Context(), caller, mail)
	want(t, "Append for another person of the human who withdrew", err, eventstore.ErrConsent)
	s.reads(t, w.Person, "un", "deux", "mail", "trois", "")
	if got := s.entries.acts(); got[len(got)-1] != "consent-withdrawn storage 2" {
		t.Errorf("the ledger has %q", got)
	}
}

func restricted(t *testing.T, s *Suite) {
	r := s.MustAppend(t, Message("v", "un"))
	set := func(on bool) {
		err := s.Keys.SetState(t.Context(), Tenant, r.Person, func(st eventstore.State) eventstore.State { st.Restricted = on; return st })
		if err != nil {
			t.Fatal(err)
		}
	}
	set(true)
	_, err := s.Append(t.Context(), caller, Message("v", "refused"))
	want(t, "Append for a restricted person", err, eventstore.ErrWithheld)
	set(false)
	s.MustAppend(t, Message("v", "deux"))
	s.reads(t, r.Person, "un", "deux")
}

func replay(t *testing.T, s *Suite) {
	const n = 400
	for i := range n {
		if _, err := s.Append(t.Context(), caller, Message(fmt.Sprint("v", i%7), fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	change := eventstore.PersonEvent{Kind: eventstore.PersonObjected, Persons: []eventstore.PersonID{{7}}}
	at, err := s.Announce(t.Context(), Tenant, change)
	if err != nil {
		t.Fatal(err)
	}
	s.MustAppend(t, Message("v", "last"))
	items := s.Items(t, 0)
	var last uint64
	i := 0
	for _, item := range items {
		if item.Sequence <= last || item.Skipped != nil {
			t.Fatalf("sequence %d behind %d, skipped %v", item.Sequence, last, item.Skipped)
		}
		switch last = item.Sequence; {
		case item.Change != nil:
			if item.Sequence != at || item.Change.Kind != change.Kind || !slices.Equal(item.Change.Persons, change.Persons) || item.Event != nil {
				t.Errorf("the person event reads as %+v", item)
			}
		case i < n && item.Event.Event.Text != fmt.Sprint(i):
			t.Fatalf("event %d reads %q", i, item.Event.Event.Text)
		default:
			i++
		}
	}
	if i != n+1 || len(items) != n+2 {
		t.Errorf("replayed %d events in %d items", i, len(items))
	}
	if got := s.Items(t, at); len(got) != 1 || got[0].Event.Event.Text != "last" {
		t.Errorf("behind %d: %d items", at, len(got))
	}
	for range s.Replay(t.Context(), Tenant, 0) { // a reader may stop early
		break
	}
}

func erased(t *testing.T, s *Suite) {
	r := s.MustAppend(t, Message("v", "un"))
	other := s.MustAppend(t, Message("w", "reste"))
	members, err := s.Keys.Fence(t.Context(), Tenant, []eventstore.PersonID{r.Person})
	if err != nil || len(members) != 1 {
		t.Fatalf("Fence: %v, %v", members, err)
	}
	_, err = s.Texts(t, r.Person)
	want(t, "Read behind a fence", err, eventstore.ErrFenced)
	if errors.Is(err, eventstore.ErrErased) {
		t.Error("a fence reads as an erasure")
	}
	_, err = s.Append(t.Context(), caller, Message("v", "refused"))
	want(t, "Append behind a fence", err, eventstore.ErrFenced)
	if got := s.Items(t, 0)[0]; got.Skipped != eventstore.ErrFenced || got.Event != nil {
		t.Errorf("Replay behind a fence: %+v", got)
	}

	if err := s.Keys.Shred(t.Context(), Tenant, []eventstore.PersonID{r.Person}, eventstore.ShredOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Texts(t, r.Person)
	want(t, "Read of an erased person", err, eventstore.ErrErased)
	if got := s.Items(t, 0); !errors.Is(got[0].Skipped, eventstore.ErrErased) || got[0].Event != nil || got[1].Event == nil {
		t.Errorf("Replay after an erasure: %+v", got)
	}
	s.reads(t, other.Person, "reste")

	old := Message("v", "from a queue")
	old.Time = time.Now().Add(-time.Hour)
	_, err = s.Append(t.Context(), caller, old)
	want(t, "an event older than the erasure", err, eventstore.ErrErased)
	s.Pass(time.Second)
	anew := s.MustAppend(t, Message("v", "nouveau"))
	if anew.Person == r.Person {
		t.Error("an erased handle leads to the old person")
	}
	s.reads(t, anew.Person, "nouveau")
}

func erasedWhileRead(t *testing.T, s *Suite) {
	var person eventstore.PersonID
	for i := range 100 {
		person = s.MustAppend(t, Message("v", fmt.Sprint(i))).Person
	}
	n := 0
	var last error
	for _, err := range s.Read(t.Context(), Tenant, person, eventstore.ReadOptions{}) {
		if err != nil {
			last = err
			break
		}
		if n++; n == 10 {
			s.Erase(t, person)
		}
	}
	want(t, "a read during an erasure", last, eventstore.ErrErased)
	if n != 10 {
		t.Errorf("%d events were read, 10 of them before the erasure", n)
	}
}

func removedWhileRead(t *testing.T, s *Suite) {
	s.MustAppend(t, Message("v", "un"))
	person := s.MustAppend(t, Message("v", "deux")).Person
	var last error
	for _, err := range s.Read(t.Context(), Tenant, person, eventstore.ReadOptions{}) {
		if last = err; err != nil {
			break
		}
		if err := s.Log.Remove(t.Context(), Tenant, eventstore.Removal{Persons: s.Erase(t, person)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "a read that an erasure emptied", last, eventstore.ErrErased)
}

// fenceRace appends, reads and replays while persons are erased. Whatever happens is one of what may happen.
func fenceRace(t *testing.T, s *Suite) {
	const visitors, rounds = 4, 15
	var wg sync.WaitGroup
	stop := make(chan struct{})
	allowed := func(what string, err error) {
		if err != nil && !errors.Is(err, eventstore.ErrFenced) && !errors.Is(err, eventstore.ErrErased) {
			t.Errorf("%s: %v", what, err)
		}
	}
	persons := make(chan eventstore.PersonID, 1000)
	for v := range visitors {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				r, err := s.Append(t.Context(), caller, Message(fmt.Sprint("v", v), fmt.Sprint(i)))
				allowed("Append", err)
				if err == nil {
					select {
					case persons <- r.Person:
					default:
					}
					_, err = s.Texts(t, r.Person)
					allowed("Read", err)
				}
			}
		})
	}
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, err := range s.Replay(t.Context(), Tenant, 0) {
				if err != nil {
					t.Errorf("Replay: %v", err)
				}
			}
		}
	})
	var gone []eventstore.PersonID
	for range rounds {
		p := <-persons
		gone = append(gone, s.Erase(t, p)...)
		gone = append(gone, p)
		_, err := s.Texts(t, p)
		want(t, "Read after an erasure", err, eventstore.ErrErased)
	}
	close(stop)
	wg.Wait()
	for _, item := range s.Items(t, 0) {
		if item.Event != nil && slices.Contains(gone, item.Event.Person) {
			t.Fatal("an erased person's event was replayed")
		}
	}
}

func changes(t *testing.T, s *Suite) {
	alice, bob := s.MustAppend(t, Message("a", "x")).Person, s.MustAppend(t, Message("b", "x")).Person
	announce := func(persons ...eventstore.PersonID) uint64 {
		n, err := s.Announce(t.Context(), Tenant, eventstore.PersonEvent{Kind: eventstore.PersonRestricted, Persons: persons})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	one, two, three := announce(alice), announce(bob), announce(alice, bob)
	s.MustAppend(t, Message("c", "so that all of it is committed"))
	for _, c := range []struct{ persons, want any }{
		{[]eventstore.PersonID{alice}, []uint64{one, three}},
		{[]eventstore.PersonID{bob}, []uint64{two, three}},
		{[]eventstore.PersonID{alice, bob}, []uint64{one, two, three}},
		{[]eventstore.PersonID{{9}}, []uint64(nil)},
	} {
		got, err := s.Changes(t.Context(), Tenant, c.persons.([]eventstore.PersonID))
		if err != nil || !slices.Equal(got, c.want.([]uint64)) {
			t.Errorf("Changes: %v, %v, want %v", got, err, c.want)
		}
	}
}

// model runs random histories of a few visitors against a plain model: what each handle's human said, in order.
func model(t *testing.T, s *Suite) {
	rapid.Check(t, func(r *rapid.T) {
		prefix := fmt.Sprintf("%d-", time.Now().UnixNano()) // visitors of their own for each history
		humans := map[string]*[]string{}                    // by handle; linked handles share one
		persons := map[string]eventstore.PersonID{}
		said := map[string]string{} // by handle and key
		visitors := []string{"a", "b", "c"}
		steps := rapid.IntRange(1, 25).Draw(r, "steps")
		for i := range steps {
			v := rapid.SampledFrom(visitors).Draw(r, "visitor")
			e := Message(prefix+v, fmt.Sprint(i))
			switch op := rapid.SampledFrom([]string{"say", "say", "key", "link", "erase"}).Draw(r, "op"); {
			case op == "erase":
				if humans[v] == nil {
					continue
				}
				s.Erase(t, persons[v])
				s.Pass(10 * time.Millisecond) // what comes later is newer than the erasure
				forget(humans, persons, said, humans[v])
				continue
			case op == "key":
				e.Key = rapid.SampledFrom([]string{"k1", "k2"}).Draw(r, "key")
				e.Text = rapid.SampledFrom([]string{"x", "y"}).Draw(r, "text")
			case op == "link":
				w := rapid.SampledFrom(visitors).Draw(r, "also")
				if w == v || humans[v] == nil || humans[w] == nil {
					continue
				}
				e.Also = []eventstore.Identity{web(prefix + w)}
				if humans[v] != humans[w] {
					humans[v] = mergeHumans(humans, humans[v], humans[w])
				}
			}
			text, before := said[v+e.Key]
			receipt, err := s.Append(t.Context(), caller, e)
			if e.Key != "" && before && text != e.Text {
				if !errors.Is(err, eventstore.ErrConflict) {
					r.Fatalf("another body under a key: %v", err)
				}
				continue
			}
			if err != nil || receipt.Duplicate != (e.Key != "" && before) {
				r.Fatalf("Append: %+v, %v", receipt, err)
			}
			persons[v] = receipt.Person
			if receipt.Duplicate {
				continue
			}
			if e.Key != "" {
				said[v+e.Key] = e.Text
			}
			if humans[v] == nil {
				humans[v] = &[]string{}
			}
			*humans[v] = append(*humans[v], fmt.Sprintf("%020d %s", receipt.Sequence, e.Text))
		}
		for v, human := range humans {
			slices.Sort(*human)
			var got []string
			for rec, err := range s.Read(t.Context(), Tenant, persons[v], eventstore.ReadOptions{}) {
				if err != nil {
					r.Fatalf("Read: %v", err)
				}
				got = append(got, fmt.Sprintf("%020d %s", rec.Sequence, rec.Event.Text))
			}
			if !slices.Equal(got, *human) {
				r.Fatalf("read %q, want %q", got, *human)
			}
		}
	})
}

func mergeHumans(humans map[string]*[]string, a, b *[]string) *[]string {
	both := append(slices.Clone(*a), *b...)
	for w, h := range humans {
		if h == a || h == b {
			humans[w] = &both
		}
	}
	return &both
}

// forget takes a human with all handles out of the model.
func forget(humans map[string]*[]string, persons map[string]eventstore.PersonID, said map[string]string, human *[]string) {
	for w, h := range humans {
		if h != human {
			continue
		}
		delete(humans, w)
		delete(persons, w)
		for k := range said {
			if k[:1] == w {
				delete(said, k)
			}
		}
	}
}
