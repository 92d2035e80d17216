package endtoend

import (
	"net/http"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

func identity(namespace, id string) *eventstore.Identity {
	return &eventstore.Identity{Namespace: namespace, ID: id}
}

func said(who *eventstore.Identity, conversation, text string, also ...eventstore.Identity) eventstore.Event {
	return eventstore.Event{Identity: who, Also: also, Conversation: eventstore.ConversationID(conversation), Bot: "shop",
		Type: eventstore.TypeMessage, Author: eventstore.AuthorUser, Channel: "web", Text: text}
}

// TestSharedComputer: Alice visits anonymously, logs in, is erased by her e-mail address in capitals, and everything of hers is gone; Bob, who
// logs in on the same computer, keeps what is his.
func TestSharedComputer(t *testing.T) {
	w := begin(t)
	visitor := identity("web", "visitor-77")
	anonymous := w.append(said(visitor, "c-1", "Avez-vous des parapluies ?"))
	login := w.append(said(identity("email", "alice@example.com"), "c-2", "Je suis Alice.", *visitor))
	if login.Link != "" {
		t.Errorf("the login's link is %q, want none", login.Link)
	}
	later := w.append(said(identity("web", "visitor-77"), "c-3", "Encore moi, sans me connecter."))
	bob := w.append(said(identity("email", "bob@example.com"), "c-4", "Moi, c'est Bob.", *visitor))
	if bob.Link != eventstore.LinkAmbiguous {
		t.Errorf("Bob's link on Alice's computer is %q, want %q", bob.Link, eventstore.LinkAmbiguous)
	}
	if n := len(w.events(login.Person)); n != 3 {
		t.Errorf("Alice's linked set has %d events, want 3", n)
	}

	alice := w.person(eventstore.Identity{Namespace: "email", ID: "  ALICE@Example.COM "})
	if alice.IsZero() {
		t.Fatal("Alice is not found by her address in capitals")
	}
	w.erase(alice)
	for _, r := range []eventstore.Receipt{anonymous, login, later} {
		if got := w.status(r.Person); got != http.StatusGone {
			t.Errorf("reading an erased person answers %d, want 410", got)
		}
	}
	for _, id := range []eventstore.Identity{*visitor, {Namespace: "email", ID: "alice@example.com"}} {
		if !w.person(id).IsZero() {
			t.Error("a handle of Alice's still resolves")
		}
	}
	if events := w.events(bob.Person); len(events) != 1 || events[0].Event.Text != "Moi, c'est Bob." {
		t.Errorf("Bob has %d events, want his one", len(events))
	}
	again := w.append(said(identity("email", "alice@example.com"), "c-5", "Bonjour, je suis nouvelle."))
	if again.Person == alice || len(w.events(again.Person)) != 1 {
		t.Error("the same address, seen again, is not a new person")
	}
}

// TestAnonymousConversation: without an identity an event belongs to its conversation alone, even if an earlier event of it carried one.
func TestAnonymousConversation(t *testing.T) {
	w := begin(t)
	first := w.append(said(nil, "c-1", "Je ne dis pas qui je suis."))
	second := w.append(said(nil, "c-1", "Toujours pas."))
	named := w.append(said(identity("email", "carol@example.com"), "c-1", "Bon, c'est Carol."))
	third := w.append(said(nil, "c-1", "Et de nouveau rien."))
	if first.Person != second.Person || first.Person != third.Person {
		t.Error("the events of one anonymous conversation belong to several persons")
	}
	if named.Person == first.Person {
		t.Error("an event with an identity went to the anonymous person")
	}
	if other := w.append(said(nil, "c-2", "Une autre conversation.")); other.Person == first.Person {
		t.Error("two anonymous conversations are one person")
	}
	w.erase(first.Person)
	if got := w.status(first.Person); got != http.StatusGone {
		t.Errorf("an erased anonymous person answers %d, want 410", got)
	}
	if len(w.events(named.Person)) != 1 {
		t.Error("erasing the anonymous person took Carol's event")
	}
}
