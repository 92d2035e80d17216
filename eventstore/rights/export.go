package rights

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"io"
	"iter"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// ExportSchema is the JSON Schema (2020-12) of an export.
//
//go:embed export.schema.json
var ExportSchema []byte

// exportFormat names the version of the document.
const exportFormat = "urn:oubli:export:1"

// Document is a person's copy (GDPR articles 15 and 20). [ExportSchema] describes its JSON; the events come before what is gathered from
// them, so that it can be written in one go.
type Document struct {
	Format     string                `json:"format"`
	Generated  time.Time             `json:"generated"`
	Person     eventstore.PersonID   `json:"person"`
	Persons    []eventstore.PersonID `json:"persons"`
	State      string                `json:"state"`
	Created    time.Time             `json:"created"`
	Identities []eventstore.Identity `json:"identities"`
	Consents   map[string]bool       `json:"consents"`
	// ExpiredBefore is a day as in [Person].
	ExpiredBefore string `json:"expired_before,omitempty"`
	// Events are those of the whole linked set, in order.
	Events []eventstore.Recorded `json:"events"`
	Ending
	// entry is the number of its ledger entry.
	entry uint64
}

// Ending is what stands behind the events; that it is there says that the document is complete.
type Ending struct {
	Count uint64 `json:"count"`
	// Channels and Recipients are those of the events, each once, at most 1000.
	Channels   []string `json:"channels"`
	Recipients []string `json:"recipients"`
}

// Copy is a person's copy that is about to be made: its ledger entry is there. It is not safe for concurrent use.
type Copy struct {
	// About is everything but the events and what stands behind them.
	About Document
	// Source yields the events. To be iterated once for each time that the copy is made.
	Source iter.Seq2[eventstore.Recorded, error]

	// last is the last event of the first time; nothing behind it is in the copy.
	last  uint64
	whole bool
	// done notes that the copy was made (nil: nobody is to know).
	done func() error
}

// Done notes, where requests are kept, that the copy was written whole. Whoever writes it calls it once, at the end.
func (c *Copy) Done() error {
	if c.done == nil {
		return nil
	}
	return c.done()
}

// OpenCopy makes the ledger entry of a person's copy and everything but the events. ErrWithheld while a member of the set is restricted, for every role but the
// DPO's; other errors as [eventstore.Keys.Gate].
func (s *Service) OpenCopy(ctx context.Context, tenant eventstore.TenantID, actor Actor, person eventstore.PersonID) (*Copy, error) {
	d, err := s.begin(ctx, tenant, actor, person)
	if err != nil {
		return nil, err
	}
	done := func() error { return s.noteExport(ctx, tenant, d.Persons, d.entry) }
	return &Copy{About: d, Source: s.store.Read(ctx, tenant, person, eventstore.ReadOptions{}), done: done}, nil
}

// Each gives every event to do and gathers what stands behind them. It can be called again, so that one copy can be written in several forms: what
// came in after the first time is left out. Errors as [eventstore.Store.Read], and do's.
func (c *Copy) Each(do func(eventstore.Recorded) error) (end Ending, err error) {
	channels, recipients := names{}, names{}
	for e, err := range c.Source {
		if err == nil && c.whole && e.Sequence > c.last {
			break
		}
		if err == nil {
			err = do(e)
		}
		if err != nil {
			return end, err
		}
		end.Count++
		if !c.whole {
			c.last = e.Sequence
		}
		channels.add(e.Event.Channel)
		if e.Event.Disclosure != nil {
			recipients.add(e.Event.Disclosure.Recipient)
		}
	}
	c.whole = true
	end.Channels, end.Recipients = channels.sorted(), recipients.sorted()
	return end, nil
}

// WriteJSON writes the copy as one JSON document, in memory that does not grow with the number of events. After an error what was written is
// not a JSON document, so that nobody takes it for the whole; nothing is written when the error is there from the start.
func (c *Copy) WriteJSON(w io.Writer) error {
	out, d := &document{w: bufio.NewWriter(w)}, c.About
	out.member("{", "format", d.Format)
	out.member(",", "generated", d.Generated)
	out.member(",", "person", d.Person)
	out.member(",", "persons", d.Persons)
	out.member(",", "state", d.State)
	out.member(",", "created", d.Created)
	out.member(",", "identities", d.Identities)
	out.member(",", "consents", d.Consents)
	if d.ExpiredBefore != "" {
		out.member(",", "expired_before", d.ExpiredBefore)
	}
	out.text(`,"events":[`)
	separator := "\n"
	end, err := c.Each(func(e eventstore.Recorded) error {
		out.text(separator)
		out.value(e)
		separator = ",\n"
		return out.err
	})
	if err != nil {
		return err
	}
	out.text("\n]")
	out.member(",", "count", end.Count)
	out.member(",", "channels", end.Channels)
	out.member(",", "recipients", end.Recipients)
	out.text("}\n")
	if out.err != nil {
		return out.err
	}
	return out.w.Flush()
}

// Export is a person's copy in memory; for a person with very many events use [Service.ExportTo]. Errors as [Service.OpenCopy] and [Copy.Each].
func (s *Service) Export(ctx context.Context, tenant eventstore.TenantID, actor Actor, person eventstore.PersonID) (Document, error) {
	c, err := s.OpenCopy(ctx, tenant, actor, person)
	if err != nil {
		return Document{}, err
	}
	d := c.About
	d.Ending, err = c.Each(func(e eventstore.Recorded) error {
		d.Events = append(d.Events, e)
		return nil
	})
	if err != nil {
		return Document{}, err
	}
	return d, c.Done()
}

// ExportTo opens a person's copy and writes it as [Copy.WriteJSON] does.
func (s *Service) ExportTo(ctx context.Context, w io.Writer, tenant eventstore.TenantID, actor Actor, person eventstore.PersonID) error {
	c, err := s.OpenCopy(ctx, tenant, actor, person)
	if err != nil {
		return err
	}
	if err := c.WriteJSON(w); err != nil {
		return err
	}
	return c.Done()
}

// begin makes the ledger entry and everything but the events.
func (s *Service) begin(ctx context.Context, tenant eventstore.TenantID, actor Actor, person eventstore.PersonID) (Document, error) {
	set, n, err := s.enterSetNumbered(ctx, tenant, actor, eventstore.ActExported, person, func(set []eventstore.PersonRecord) error {
		if restricted(set) && actor.Role != eventstore.RoleDPO {
			return eventstore.ErrWithheld
		}
		return nil
	})
	if err != nil {
		return Document{}, err
	}
	p := summary(person, set)
	if p.Consents == nil {
		p.Consents = map[string]bool{}
	}
	// Ambiguous handles are left out: they may be another human's.
	return Document{
		Format: exportFormat, Generated: s.now(), Person: p.Person, Persons: p.Persons, State: p.State, Created: p.Created,
		Identities: p.Identities, Consents: p.Consents, ExpiredBefore: p.ExpiredBefore, Events: []eventstore.Recorded{}, entry: n,
	}, nil
}

// document writes JSON piece by piece and keeps the first error.
type document struct {
	w   *bufio.Writer
	err error
}

func (d *document) text(s string) {
	if d.err == nil {
		_, d.err = d.w.WriteString(s)
	}
}

func (d *document) value(v any) {
	b, err := json.Marshal(v)
	if d.err == nil {
		d.err = err
	}
	d.text(string(b))
}

func (d *document) member(separator, name string, v any) {
	d.text(separator + `"` + name + `":`)
	d.value(v)
}
