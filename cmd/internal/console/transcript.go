package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/phrases"
	"github.com/oubli-store/oubli/eventstore"
)

type transcriptCmd struct {
	who
	Conversation string `placeholder:"ID" help:"${flag_conversation}"`
	Limit        int    `placeholder:"N" help:"${flag_limit}"`
	All          bool   `help:"${flag_all}"`
}

// mostShown bounds how many events are grouped for a person to read; JSON has no such bound.
const mostShown = 20_000

// Run prints what was said, grouped by conversation; as JSON the events as they are stored, in order.
func (c transcriptCmd) Run(e *env) error {
	a, person, err := c.find(e)
	if err != nil {
		return err
	}
	query := url.Values{}
	if c.Conversation != "" {
		query.Set("conversation", c.Conversation)
	}
	if c.Limit > 0 {
		query.Set("limit", strconv.Itoa(c.Limit))
	}
	var t transcript
	n := 0
	before := ""
	head := func(h http.Header) { before = h.Get("Oubli-Expired-Before") }
	for line, err := range a.headedLines(e.ctx, "/v1/persons/"+person.String()+"/events", query, head) {
		if err != nil {
			return err
		}
		if e.JSON {
			if err := e.line(line); err != nil {
				return err
			}
			continue
		}
		var r eventstore.Recorded
		if err := json.Unmarshal(line, &r); err != nil {
			return fmt.Errorf("the server's answer is not Oubli's")
		}
		if n++; n > mostShown {
			e.note("%s", e.say("too_many", mostShown))
			break
		}
		t.add(r)
	}
	if !e.JSON {
		err = t.print(e, c.All)
	}
	if err == nil && before != "" {
		e.note("%s", e.say("expired_note", clean(before, false)))
	}
	return err
}

// transcript is a person's events by conversation, in the order in which the conversations began.
type transcript struct {
	order []talk
	by    map[talk][]eventstore.Recorded
}

type talk struct {
	bot eventstore.BotID
	id  eventstore.ConversationID
}

func (t *transcript) add(r eventstore.Recorded) {
	k := talk{r.Event.Bot, r.Event.Conversation}
	if t.by == nil {
		t.by = map[talk][]eventstore.Recorded{}
	}
	if t.by[k] == nil {
		t.order = append(t.order, k)
	}
	t.by[k] = append(t.by[k], r)
}

func (t *transcript) print(e *env, all bool) error {
	if len(t.order) == 0 {
		e.note("%s", e.say("no_events"))
		return nil
	}
	hidden := 0
	shown := 0
	for _, k := range t.order {
		events := t.by[k]
		day := ""
		for _, r := range events {
			text, technical := phrases.Lang(e.words()).Event(r.Event)
			if technical && !all {
				hidden++
				continue
			}
			if day == "" {
				if shown++; shown > 1 {
					fmt.Fprintln(e.out)
				}
				if _, err := fmt.Fprintln(e.out, e.heading(k, events)); err != nil {
					return err
				}
			}
			at := at(r).Local()
			if d := at.Format(time.DateOnly); d != day {
				day = d
				fmt.Fprintln(e.out, "  "+day)
			}
			e.utter(at, r.Event.Author, text)
		}
	}
	if hidden > 0 {
		e.note("%s", e.say("left_out", hidden))
	}
	return nil
}

// at is the event's own time.
func at(r eventstore.Recorded) time.Time {
	if r.Event.Time.IsZero() {
		return r.Received
	}
	return r.Event.Time
}

func (e *env) heading(k talk, events []eventstore.Recorded) string {
	name := clean(string(k.id), false)
	if name == "" {
		name = e.say("unnamed")
	}
	var about []string
	for _, s := range []string{string(k.bot), events[0].Event.Channel, events[0].Event.Language} {
		if s = clean(s, false); s != "" && !slices.Contains(about, s) {
			about = append(about, s)
		}
	}
	s := "── " + e.say("conversation") + " " + name
	if len(about) > 0 {
		s += " (" + strings.Join(about, ", ") + ")"
	}
	return s
}

// utter prints one event: time, author, text; further lines of the text stand under the first.
func (e *env) utter(at time.Time, author eventstore.Author, text string) {
	const authorWidth = 10
	name := ""
	if author != "" {
		name = e.code("who_", string(author))
	}
	name = clean(name, false)
	name += strings.Repeat(" ", max(0, authorWidth-width(name)))
	head := "  " + at.Format("15:04:05") + "  " + name + " "
	indent := strings.Repeat(" ", width(head))
	fmt.Fprintln(e.out, head+strings.ReplaceAll(clean(text, true), "\n", "\n"+indent))
}
