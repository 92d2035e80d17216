// Package door is the pure part of the way in: it makes identities canonical, fills in what the access token says, and decides by the
// rules of the tenant whether an event may be kept. It does no I/O.
//
// # Canonical identities
//
// The same human must have the same handle, however a bot writes it:
//
//	email         NFC, trimmed, lower-cased:             "Alice@Example.COM "  → alice@example.com
//	phone         E.164, national numbers of the region: "06 12 34 56 78"      → +33612345678
//	conversation  as it is (made here, never sent): <bot>/<conversation id>
//	all others    NFC, trimmed
//
// Making a canonical identity canonical changes nothing.
//
// # Consent
//
// A notice and an answer to a question for consent are always kept: they are how the rules are met. Any other event is refused for a
// restricted person (ErrWithheld), and for one who withdrew consent to storage, or never gave it where [Rules] ask for it first (ErrConsent).
//
// # Minimisation
//
// Before an event is sealed, each tenant's [Rules] leave out what is not kept (types, fields, entities, keys of data) and mask what is recognised (package
// recognise), what the bot has marked as sensitive, and what it has marked earlier in the same conversation. A mask is the kind in brackets, such as [card]; the
// spans of entities move along. Masking is repeated until nothing more is found, and masking what was masked changes nothing.
//
// The dictionary of a conversation is in memory alone, bounded, and forgotten an hour after its last use or at a restart: it reduces what is kept.
//
// # Not done here
//
// Ids (handles, conversations, idempotency keys) are not masked: they are what they are for. An address is not checked for being deliverable, and dots or tags in it are kept: they can name different humans.
package door

import (
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/unicode/norm"

	"github.com/oubli-store/oubli/eventstore"
)

// PurposeStorage is the purpose of consent that decides whether events are kept.
const PurposeStorage = "storage"

// Door implements [eventstore.Door].
type Door struct {
	names *dictionary

	mu    sync.RWMutex
	rules map[eventstore.TenantID]*policy
	// other are the rules of tenants that have none of their own.
	other *policy
}

var _ eventstore.Door = (*Door)(nil)

// New makes a door with the rules of tenants that have none of their own.
func New(rules Rules) *Door {
	return &Door{names: newDictionary(), rules: map[eventstore.TenantID]*policy{}, other: compile(rules)}
}

// Set gives a tenant rules of its own, for every event that comes from now on.
func (d *Door) Set(tenant eventstore.TenantID, rules Rules) {
	p := compile(rules)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rules[tenant] = p
}

// Forget takes a tenant's own rules away, when it is erased.
func (d *Door) Forget(tenant eventstore.TenantID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.rules, tenant)
}

func (d *Door) policy(tenant eventstore.TenantID) *policy {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if p := d.rules[tenant]; p != nil {
		return p
	}
	return d.other
}

// Admit implements [eventstore.Door].
func (d *Door) Admit(caller eventstore.Caller, e eventstore.Event, received time.Time) (eventstore.Event, error) {
	if err := e.Check(); err != nil {
		return eventstore.Event{}, err
	}
	if !e.Time.IsZero() {
		if e.Time.After(received.Add(eventstore.MaxAhead)) {
			return eventstore.Event{}, errAhead
		}
		e.Time = e.Time.UTC().Round(0)
	}
	if caller.Bot != "" {
		if e.Bot != "" && e.Bot != caller.Bot {
			return eventstore.Event{}, errOtherBot
		}
		e.Bot = caller.Bot
	}
	p := d.policy(caller.Tenant)
	id, err := p.identity(e)
	if err != nil {
		return eventstore.Event{}, err
	}
	e.Identity = &id
	if e.Also, err = p.also(id, e.Also); err != nil {
		return eventstore.Event{}, err
	}
	if err := d.minimise(p, talk{caller.Tenant, e.Bot, e.Conversation}, &e, received); err != nil {
		return eventstore.Event{}, err
	}
	return e, nil
}

var (
	errAhead    = eventstore.Refuse(eventstore.KindInvalid, "time", "the time lies more than 5 minutes ahead of the server's clock")
	errOtherBot = eventstore.Refuse(eventstore.KindForbidden, "bot", "this access token may not speak for that bot")
	errNoBot    = eventstore.Refuse(eventstore.KindInvalid, "bot", "an event without an identity needs a bot")
	errLong     = eventstore.Refuse(eventstore.KindInvalid, "conversation", "the bot's name and the conversation's id are too long together")

	errNamespace = eventstore.Refuse(eventstore.KindInvalid, "identity.namespace",
		"a namespace is a lower-case letter followed by at most 31 letters, digits, hyphens or underscores")
	errText  = eventstore.Refuse(eventstore.KindInvalid, "identity.id", "an id is 1 to 512 bytes of UTF-8 without NUL")
	errEmail = eventstore.Refuse(eventstore.KindInvalid, "identity.id", "this is not an e-mail address of the form name@domain")
	errPhone = eventstore.Refuse(eventstore.KindInvalid, "identity.id", "this is not a phone number; send it in the form +33612345678")
)

// identity is the canonical handle of an event's person.
func (p *policy) identity(e eventstore.Event) (eventstore.Identity, error) {
	if e.Identity != nil {
		return p.canonical(*e.Identity)
	}
	if e.Bot == "" {
		return eventstore.Identity{}, errNoBot
	}
	id := eventstore.ConversationIdentity(e.Bot, e.Conversation)
	if len(id.ID) > eventstore.MaxIdentity {
		return eventstore.Identity{}, errLong
	}
	return id, nil
}

// also gives the canonical further handles, each once and in a slice of its own.
func (p *policy) also(id eventstore.Identity, also []eventstore.Identity) ([]eventstore.Identity, error) {
	var out []eventstore.Identity
	for _, a := range also {
		c, err := p.canonical(a)
		if err != nil {
			return nil, err
		}
		if c != id && !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out, nil
}

// Canonical implements [eventstore.Door].
func (d *Door) Canonical(tenant eventstore.TenantID, id eventstore.Identity) (eventstore.Identity, error) {
	return d.policy(tenant).canonical(id)
}

func (p *policy) canonical(id eventstore.Identity) (eventstore.Identity, error) {
	if !eventstore.ValidNamespace(id.Namespace) {
		return eventstore.Identity{}, errNamespace
	}
	if !utf8.ValidString(id.ID) || strings.IndexByte(id.ID, 0) >= 0 || len(id.ID) > eventstore.MaxIdentity {
		return eventstore.Identity{}, errText
	}
	s, err := p.spelling(id.Namespace, id.ID)
	if err != nil {
		return eventstore.Identity{}, err
	}
	if s == "" || len(s) > eventstore.MaxIdentity {
		return eventstore.Identity{}, errText
	}
	return eventstore.Identity{Namespace: id.Namespace, ID: s}, nil
}

func (p *policy) spelling(namespace, s string) (string, error) {
	switch namespace {
	case eventstore.NamespaceConversation:
		return s, nil
	case eventstore.NamespaceEmail:
		return email(s)
	case eventstore.NamespacePhone:
		return p.phone(s)
	}
	return trim(s), nil
}

// trim takes white space off; what is trimmed away can leave a mark that composes anew, so it is composed last.
func trim(s string) string { return norm.NFC.String(strings.TrimSpace(norm.NFC.String(s))) }

func email(s string) (string, error) {
	s = norm.NFC.String(strings.ToLower(trim(s)))
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at == len(s)-1 || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '<' || r == '>' }) {
		return "", errEmail
	}
	return s, nil
}

func (p *policy) phone(s string) (string, error) {
	n, err := phonenumbers.Parse(trim(s), p.region)
	if err != nil || !phonenumbers.IsPossibleNumber(n) { // its error is not passed on: it could repeat the number
		return "", errPhone
	}
	return phonenumbers.Format(n, phonenumbers.E164), nil
}

// Consent implements [eventstore.Door].
func (d *Door) Consent(caller eventstore.Caller, e eventstore.Event, s eventstore.State) error {
	if e.Type == eventstore.TypeConsent || e.Type == eventstore.TypeNotice {
		return nil
	}
	if s.Restricted {
		return eventstore.ErrWithheld
	}
	granted, answered := s.Consents[PurposeStorage]
	if answered && !granted || !answered && d.policy(caller.Tenant).ConsentFirst {
		return eventstore.ErrConsent
	}
	return nil
}
