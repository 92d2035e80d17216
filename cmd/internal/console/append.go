package console

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/client"
)

type appendCmd struct {
	Files       []string `arg:"" optional:"" name:"file" help:"Files of events, one JSON object a line; none or - : standard input."`
	Attach      string   `placeholder:"FILE" help:"Send this file with the event, of which there must be one, of type attachment."`
	ContentType string   `name:"content-type" placeholder:"TYPE" help:"The media type of the attached file (default: by its name)."`
}

// Run sends the lines and says what became of them.
func (c appendCmd) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	if len(c.Files) == 0 {
		c.Files = []string{"-"}
	}
	if c.Attach != "" {
		return c.attach(e, cl)
	}
	s := &sender{e: e, client: cl, lines: true}
	for _, name := range c.Files {
		if err := c.file(e, s, name); err != nil {
			return err
		}
	}
	return s.finish()
}

func (c appendCmd) file(e *env, s *sender, name string) error {
	in, size := io.Reader(e.in), int64(-1)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil {
			size = info.Size()
		}
		in = f
	}
	bar := e.progress(size, "storing", true)
	defer bar.Done()
	return s.send(name, s.eventLines(counting{in, bar}))
}

// eventLines reads one event a line and tells the sender in which line each stands. A reading error ends the lines.
func (s *sender) eventLines(r io.Reader) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		for line, err := range eventstore.ReadEvents(r, 0) {
			if err != nil {
				yield(eventstore.Event{}, fatal{err})
				return
			}
			s.line = line.Number
			if !yield(line.Event, line.Err) {
				return
			}
		}
	}
}

// fatal is an error after which a source has nothing more.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// sender sends events from several sources and keeps count.
type sender struct {
	e      *env
	client *client.Client
	// lines says that with --json each event gets a line of its own, rather than the counts at the end.
	lines   bool
	counts  counts
	refused map[int]int // how often each exit code was refused with
	// line is where the event that its source gives stands.
	line int
	// leaveOld counts events that are too old instead of naming them as refused.
	leaveOld bool
}

type counts struct {
	Stored     int `json:"stored"`
	Duplicates int `json:"duplicates"`
	Refused    int `json:"refused"`
	Ambiguous  int `json:"ambiguous_links,omitempty"`
	TooOld     int `json:"too_old,omitempty"`
	Skipped    int `json:"skipped,omitempty"`
	Cut        int `json:"cut,omitempty"`
	Files      int `json:"files,omitempty"`
}

// send sends the events of one source. It returns the errors after which nothing more can be sent.
func (s *sender) send(name string, events iter.Seq2[eventstore.Event, error]) error {
	var failed error
	var at []int // the lines of the events under way
	good := func(yield func(eventstore.Event) bool) {
		for event, err := range events {
			if f, ok := errors.AsType[fatal](err); ok {
				failed = f.error
				return
			}
			if err != nil {
				s.refuse(name, s.line, err)
				continue
			}
			at = append(at, s.line)
			if !yield(event) {
				return
			}
		}
	}
	for r, err := range s.client.AppendMany(s.e.ctx, good) {
		number := at[0]
		at = at[1:]
		switch {
		case errors.Is(err, client.ErrStopped):
			return err
		case s.leaveOld && tooOld(err):
			s.counts.TooOld++
		case err != nil:
			s.refuse(name, number, err)
		default:
			if err := s.stored(r.Receipt); err != nil {
				return err
			}
		}
	}
	return failed
}

// tooOld says that an event was refused because of its month.
func tooOld(err error) bool {
	p, ok := errors.AsType[*client.Error](err)
	return ok && p.Kind == eventstore.KindErased && p.Field == eventstore.ErrTooOld.Field()
}

func (s *sender) stored(r eventstore.Receipt) error {
	if r.Duplicate {
		s.counts.Duplicates++
	} else {
		s.counts.Stored++
	}
	if r.Link == eventstore.LinkAmbiguous {
		s.counts.Ambiguous++
	}
	if s.lines && s.e.JSON {
		return s.e.line(r)
	}
	return nil
}

// maxComplaints bounds how many refused lines are named.
const maxComplaints = 20

func (s *sender) refuse(name string, line int, err error) {
	s.counts.Refused++
	if s.refused == nil {
		s.refused = map[int]int{}
	}
	s.refused[Code(err)]++
	if s.lines && s.e.JSON {
		s.e.line(map[string]any{"line": line, "error": map[string]string{"type": urn(err), "detail": withoutLine(err)}})
	}
	if s.counts.Refused > maxComplaints {
		return
	}
	place := fmt.Sprintf("line %d", line)
	if name != "-" {
		place = clean(name, false) + " " + place
	}
	s.e.note("%s: %s", place, clean(withoutLine(err), false))
	if s.counts.Refused == maxComplaints {
		s.e.note("(further refused lines are counted, not named)")
	}
}

// withoutLine is an error's text without the line that it may begin with.
func withoutLine(err error) string {
	text := err.Error()
	if p, ok := errors.AsType[*eventstore.Problem](err); ok && p.Line() > 0 {
		text = strings.TrimPrefix(text, fmt.Sprintf("line %d: ", p.Line()))
	}
	return text
}

// urn is the stable type of an error.
func urn(err error) string {
	if p, ok := errors.AsType[*client.Error](err); ok {
		return client.URN + string(p.Kind)
	}
	if p, ok := errors.AsType[*eventstore.Problem](err); ok {
		return client.URN + string(p.Kind())
	}
	return "about:blank"
}

// finish prints the counts and gives the exit code: that which all refusals share, else 1.
func (s *sender) finish() error {
	switch {
	case s.e.JSON && !s.lines:
		if err := s.e.document(s.counts); err != nil {
			return err
		}
	case s.e.JSON:
		s.e.note("%s", s.counts)
	default:
		if _, err := fmt.Fprintln(s.e.out, s.counts); err != nil {
			return err
		}
	}
	if len(s.refused) == 0 {
		return nil
	}
	code := Failed
	for c := range s.refused {
		if len(s.refused) == 1 && c != Usage {
			code = c
		}
	}
	return exit{code, errSaid}
}

// String gives the counts for a person.
func (c counts) String() string {
	s := fmt.Sprintf("%d stored, %d duplicates, %d refused", c.Stored, c.Duplicates, c.Refused)
	if c.TooOld > 0 {
		s += fmt.Sprintf(", too old: %d", c.TooOld)
	}
	if c.Skipped > 0 {
		s += fmt.Sprintf(", %d left out as noise", c.Skipped)
	}
	if c.Cut > 0 {
		s += fmt.Sprintf(", %d shortened to fit", c.Cut)
	}
	if c.Ambiguous > 0 {
		s += fmt.Sprintf(", %d with a handle that was not linked", c.Ambiguous)
	}
	if c.Files > 0 {
		s += fmt.Sprintf(" (files: %d)", c.Files)
	}
	return s
}
