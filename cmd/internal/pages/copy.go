package pages

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

// copyHead is what stands before the events of a copy. All texts are plain.
type copyHead struct {
	Generated, Created         time.Time
	Handles, Persons, Consents []string
	State, Expired             string
}

type copyEnd struct {
	Channels, Recipients string
	Count                uint64
}

// WriteCopy writes a person's copy. file names where an attachment stands beside the page, in an archive (nil: nowhere). After an error what was written
// is not a whole page; errors as [rights.Copy.Each].
func WriteCopy(w io.Writer, f From, c *rights.Copy, file func(eventstore.Recorded) string) error {
	p, err := begin(w, f)
	if err != nil {
		return err
	}
	d := c.About
	head := copyHead{Generated: d.Generated, Created: d.Created, State: f.lang().Code("state_", d.State)}
	for _, id := range d.Identities {
		head.Handles = append(head.Handles, line(id.Namespace+": "+id.ID))
	}
	for _, person := range d.Persons {
		head.Persons = append(head.Persons, person.String())
	}
	for _, purpose := range slices.Sorted(maps.Keys(d.Consents)) {
		head.Consents = append(head.Consents, line(purpose)+": "+f.lang().Granted(d.Consents[purpose]))
	}
	if d.ExpiredBefore != "" {
		head.Expired = f.say("expired_note", d.ExpiredBefore)
	}
	p.write("head", f.say("copy_title"))
	p.write("copy", head)
	t := talks{page: p, file: file, named: true}
	end, err := c.Each(t.event)
	if err != nil {
		return err
	}
	if end.Count == 0 {
		p.write("nothing", nil)
	}
	p.write("copy_end", copyEnd{shown(end.Channels), shown(end.Recipients), end.Count})
	return p.end()
}

// talks writes events and puts a heading wherever another conversation goes on.
type talks struct {
	*page
	file func(eventstore.Recorded) string
	// named: conversations have headings.
	named bool
	any   bool
	bot   eventstore.BotID
	id    eventstore.ConversationID
}

// utterance is an event on a page. All texts are plain.
type utterance struct {
	Class, Who, At, Text, Happened string
	More                           []string
}

func (t *talks) event(r eventstore.Recorded) error {
	e := &r.Event
	if t.named && (!t.any || e.Bot != t.bot || e.Conversation != t.id) {
		t.write("talk", t.heading(e))
	}
	t.any, t.bot, t.id = true, e.Bot, e.Conversation
	return t.write("event", t.utterance(r))
}

func (t *talks) heading(e *eventstore.Event) string {
	name := line(string(e.Conversation))
	if name == "" {
		name = t.say("unnamed")
	}
	var about []string
	for _, s := range []string{string(e.Bot), e.Channel, e.Language} {
		if s = line(s); s != "" && !slices.Contains(about, s) {
			about = append(about, s)
		}
	}
	head := t.say("conversation") + " " + name
	if len(about) > 0 {
		head += " (" + strings.Join(about, ", ") + ")"
	}
	return head
}

func (t *talks) utterance(r eventstore.Recorded) utterance {
	e := r.Event
	u := utterance{Who: "–", Text: plain(e.Text)}
	at := e.Time
	if at.IsZero() {
		at = r.Received
	}
	u.At = t.at(at)
	switch e.Author {
	case eventstore.AuthorUser, eventstore.AuthorBot, eventstore.AuthorOperator:
		u.Class, u.Who = string(e.Author), t.lang().Code("who_", string(e.Author))
	}
	if e.Type != eventstore.TypeMessage {
		happened, _ := t.lang().Happened(e)
		u.Happened = plain(happened)
	}
	u.More = t.more(&e)
	if e.Attachment != nil && t.file != nil {
		u.More = append(u.More, t.say("copy_file", line(t.file(r))))
	}
	return u
}

// more lists what an event holds beside its text and its kind: a copy is whole.
func (f From) more(e *eventstore.Event) (out []string) {
	add := func(name, value string) {
		if value != "" {
			out = append(out, f.say("more_"+name)+": "+plain(value))
		}
	}
	if e.Intent != nil && e.Type != eventstore.TypeIntent {
		add("intent", e.Intent.Name)
	}
	if e.Slot != nil && e.Type != eventstore.TypeSlot {
		add("slot", e.Slot.Name+" = "+string(e.Slot.Value))
	}
	for _, x := range e.Entities {
		value := x.Value
		if runes := []rune(e.Text); value == "" && x.Start >= 0 && x.Start <= x.End && x.End <= len(runes) {
			value = string(runes[x.Start:x.End])
		}
		add("entity", x.Type+" = "+value)
	}
	if h := e.Handoff; h != nil {
		add("reason", h.Reason)
	}
	if c := e.Consent; c != nil {
		add("method", c.Method)
		add("source", c.Source)
		add("notice", c.Notice)
	}
	if d := e.Disclosure; d != nil {
		add("categories", strings.Join(d.Categories, ", "))
	}
	for _, id := range e.Also {
		add("also", id.Namespace+": "+id.ID)
	}
	add("operator", e.Operator)
	add("approver", e.Approver)
	add("status", e.Status)
	add("bot_version", e.BotVersion)
	if len(e.Data) > 0 {
		add("data", string(e.Data))
	}
	if a := e.Attachment; a != nil {
		add("sha256", fmt.Sprintf("%x", []byte(a.SHA256)))
	}
	return out
}
