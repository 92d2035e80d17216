package door

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

var (
	errType    = eventstore.Refuse(eventstore.KindForbidden, "type", "this tenant keeps no events of this type")
	errPurpose = eventstore.Refuse(eventstore.KindInvalid, "consent.purpose", "this is not one of the tenant's purposes; GET /v1/privacy lists them")
	errJSON    = eventstore.Refuse(eventstore.KindInvalid, "data", "a value is not valid JSON")
)

// minimise takes out of an event what may not be kept. e is a copy; what it points to is not changed.
func (d *Door) minimise(p *policy, t talk, e *eventstore.Event, now time.Time) error {
	if !p.keepsType(e.Type) {
		return errType
	}
	if e.Consent != nil && !p.keepsPurpose(e.Consent.Purpose) {
		return errPurpose
	}
	p.drop(e)
	if err := p.dropData(e); err != nil {
		return err
	}
	return d.mask(p, t, e, now)
}

// drop leaves out the fields and entities that are not kept.
func (p *policy) drop(e *eventstore.Event) {
	if p.EntityTypes != nil {
		e.Entities = slices.DeleteFunc(slices.Clone(e.Entities), func(x eventstore.Entity) bool { return !slices.Contains(p.EntityTypes, x.Type) })
	}
	if p.Fields == nil {
		return
	}
	for name, clear := range map[string]func(){
		"operator": func() { e.Operator = "" }, "bot_version": func() { e.BotVersion = "" }, "channel": func() { e.Channel = "" }, "language": func() { e.Language = "" },
		"text": func() { e.Text, e.Entities = "", nil }, "intent": func() { e.Intent = nil }, "entities": func() { e.Entities = nil }, "slot": func() { e.Slot = nil },
		"handoff": func() { e.Handoff = nil }, "feedback": func() { e.Feedback = nil }, "disclosure": func() { e.Disclosure = nil }, "status": func() { e.Status = "" },
		"approver": func() { e.Approver = "" }, "data": func() { e.Data = nil },
	} {
		if !slices.Contains(p.Fields, name) {
			clear()
		}
	}
}

// dropData leaves out the keys of data that are not kept. Data that is no object has no keys, and goes.
func (p *policy) dropData(e *eventstore.Event) error {
	if p.DataKeys == nil || len(e.Data) == 0 {
		return nil
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(e.Data, &all) != nil {
		e.Data = nil
		return nil
	}
	kept := map[string]json.RawMessage{}
	for k, v := range all {
		if slices.Contains(p.DataKeys, k) {
			kept[k] = v
		}
	}
	e.Data = nil
	if len(kept) == 0 {
		return nil
	}
	var out bytes.Buffer
	w := json.NewEncoder(&out)
	w.SetEscapeHTML(false)
	if w.Encode(kept) != nil {
		return errJSON
	}
	e.Data = bytes.TrimSuffix(out.Bytes(), []byte("\n"))
	return nil
}

// mask replaces what is recognised, what is marked as sensitive, and what was marked earlier in the conversation.
func (d *Door) mask(p *policy, t talk, e *eventstore.Event, now time.Time) error {
	known := d.names.learn(t, p.marked(e), now)
	text := func(s string) string { return p.text(s, known, nil).text }
	e.Entities = slices.Clone(e.Entities)
	m := p.text(e.Text, known, p.sensitive(e))
	for i := range e.Entities {
		x := &e.Entities[i]
		start, end, touched := m.span(x.Start, x.End)
		x.Start, x.End = start, end
		switch {
		case x.Sensitive && !p.KeepSensitive:
			x.Value = label(x.Type)
		case touched:
			if from, to, ok := bytesAt(m.text, start, end); ok {
				x.Value = m.text[from:to]
			}
			x.Value = text(x.Value)
		default:
			x.Value = text(x.Value)
		}
	}
	e.Text = m.text
	p.flag(e)
	return p.rest(e, text)
}

// rest masks the other fields that bots fill freely.
func (p *policy) rest(e *eventstore.Event, text func(string) string) (err error) {
	if e.Handoff != nil {
		h := *e.Handoff
		h.To, h.Reason = text(h.To), text(h.Reason)
		e.Handoff = &h
	}
	if e.Consent != nil {
		c := *e.Consent
		c.Source, c.Notice = text(c.Source), text(c.Notice)
		e.Consent = &c
	}
	if e.Slot != nil {
		s := *e.Slot
		if s.Value, err = maskJSON(s.Value, text); err != nil {
			return errJSON
		}
		e.Slot = &s
	}
	if e.Data, err = maskJSON(e.Data, text); err != nil {
		return errJSON
	}
	return nil
}

// marked are the values that this event marks as sensitive.
func (p *policy) marked(e *eventstore.Event) (out []name) {
	if p.KeepSensitive {
		return nil
	}
	for _, x := range e.Entities {
		if !x.Sensitive {
			continue
		}
		if n, ok := newName(x.Value, label(x.Type)); ok {
			out = append(out, n)
		}
		if from, to, ok := bytesAt(e.Text, x.Start, x.End); ok {
			if n, ok := newName(e.Text[from:to], label(x.Type)); ok {
				out = append(out, n)
			}
		}
	}
	return out
}

// sensitive are the places of the text that this event marks.
func (p *policy) sensitive(e *eventstore.Event) (out []hidden) {
	if p.KeepSensitive {
		return nil
	}
	for _, x := range e.Entities {
		if !x.Sensitive {
			continue
		}
		if from, to, ok := bytesAt(e.Text, x.Start, x.End); ok && !isLabel(e.Text[from:to]) {
			out = append(out, hidden{from, to, label(x.Type)})
		}
	}
	return out
}

// text replaces what is hidden in a text: the places given, names, and what is recognised.
//
// It looks again at what comes out: what was hidden may have stood in the way of something else. Each time there is less to find.
func (p *policy) text(s string, known []name, places []hidden) masked {
	m := masked{text: s}
	for range maxLooks {
		for _, x := range p.finder.Find(m.text) {
			if !p.flagged.Has(x.Kind) {
				places = append(places, hidden{x.Start, x.End, label(x.Kind.String())})
			}
		}
		places = append(places, find(m.text, known)...)
		if len(places) == 0 {
			break
		}
		m.replace(merge(places))
		places = places[:0]
	}
	return m
}

const maxLooks = 16

// flag adds an entity for each thing that is kept but shown.
func (p *policy) flag(e *eventstore.Event) {
	if p.flagged == 0 {
		return
	}
	for _, x := range p.finder.Find(e.Text) {
		if !p.flagged.Has(x.Kind) || len(e.Entities) == eventstore.MaxEntities {
			continue
		}
		start := runes(e.Text[:x.Start])
		flagged := eventstore.Entity{Type: x.Kind.String(), Start: start, End: start + runes(e.Text[x.Start:x.End])}
		if !slices.Contains(e.Entities, flagged) {
			e.Entities = append(e.Entities, flagged)
		}
	}
}

func runes(s string) int { return len([]rune(s)) }

// isLabel says whether a text is a mask already.
func isLabel(s string) bool {
	return len(s) > 2 && s[0] == '[' && strings.IndexByte(s, ']') == len(s)-1 && label(s[1:len(s)-1]) == s
}

// label is what stands in the place of something: its type in brackets, which nothing is recognised in.
func label(kind string) string {
	for _, c := range []byte(kind) {
		if c != '_' && c != '-' && (c|0x20 < 'a' || c|0x20 > 'z') {
			return "[sensitive]"
		}
	}
	if kind == "" || len(kind) > 32 {
		return "[sensitive]"
	}
	return "[" + strings.ToLower(kind) + "]"
}
