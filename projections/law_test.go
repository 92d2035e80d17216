package projections

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/conversation"
	"github.com/oubli-store/oubli/projections/readmodel"
)

// expected counts the stream in the plainest way there is, over the vault as it is now.
func (w *world) expected(models []*readmodel.Model) map[string][]ExactCell {
	type counted struct {
		sequence uint64
		event    *eventstore.Recorded
		// talks says that the month of the event was not over for retention when it came.
		talks bool
	}
	var list []counted
	left := map[eventstore.PersonID]byte{}
	var expired eventstore.KeyMonth
	out := func(flags byte) bool {
		return flags&(flagRestricted|flagObjected|flagRefused) != 0 || w.consent && flags&flagGranted == 0
	}
	drop := func(gone func(counted) bool) { list = slices.DeleteFunc(list, gone) }
	for _, e := range w.log {
		if e.event != nil {
			if h := w.persons[e.event.Person]; !out(left[h.id]) && !h.gone {
				month := eventstore.PeriodOf(eventstore.Month, readmodel.Time(e.event), w.zone)
				list = append(list, counted{e.sequence, e.event, !begin(month, w.zone).Before(expired.Start())})
			}
			continue
		}
		if e.change.Kind == eventstore.PersonExpired {
			expired = max(expired, e.change.Before)
		}
		for _, id := range e.change.Persons {
			switch e.change.Kind {
			case eventstore.PersonErased:
				delete(left, id)
			case eventstore.PersonRestricted:
				left[id] |= flagRestricted
			case eventstore.PersonObjected:
				left[id] |= flagObjected
			case eventstore.PersonUnrestricted:
				left[id] &^= flagRestricted
			case eventstore.PersonUnobjected:
				left[id] &^= flagObjected
			case eventstore.PersonAnalyticsGranted:
				left[id] = left[id]&^flagRefused | flagGranted
			case eventstore.PersonAnalyticsRefused:
				left[id] = left[id]&^flagGranted | flagRefused
			}
			drop(func(c counted) bool {
				return c.event.Person == id && (out(left[id]) || e.change.Kind == eventstore.PersonResealed && c.sequence < e.change.First)
			})
		}
	}
	type sums struct {
		cell    ExactCell
		persons map[*linkedSet]bool
		talks   map[string]bool
	}
	// What everybody said to each bot in each month.
	type said struct {
		person eventstore.PersonID
		bot    eventstore.BotID
		month  eventstore.Period
	}
	histories := map[said]*conversation.History{}
	for _, c := range list {
		e, ok := readmodel.Talk(c.event)
		month := eventstore.PeriodOf(eventstore.Month, readmodel.Time(c.event), w.zone)
		if !ok || !c.talks || w.books.closed("outcomes", month, readmodel.Time(c.event)) {
			continue
		}
		key := said{c.event.Person, c.event.Event.Bot, eventstore.PeriodOf(eventstore.Month, readmodel.Time(c.event), w.zone)}
		if histories[key] == nil {
			histories[key] = &conversation.History{}
		}
		copy(e.Conversation[:], c.event.Event.Conversation)
		histories[key].Add(e)
	}
	tables := map[string][]ExactCell{}
	for _, m := range models {
		tables[m.Name] = nil
		cells := map[string]*sums{}
		count := func(person eventstore.PersonID, at time.Time, f readmodel.Fact, talk string) {
			for _, kind := range kinds {
				period := eventstore.PeriodOf(kind, at, w.zone)
				if date := period.Date(); time.Date(date.Year(), date.Month(), date.Day(), 0, 0, 0, 0, w.zone).Before(expired.Start()) {
					continue
				}
				if w.books.closed(m.Name, period, at) {
					continue
				}
				key := fmt.Sprint(period, strings.Join(f.Values, "|"))
				s := cells[key]
				if s == nil {
					s = &sums{ExactCell{Period: period, Values: f.Values, Sums: make([]uint64, len(f.Sums))}, map[*linkedSet]bool{}, map[string]bool{}}
					cells[key] = s
				}
				s.persons[w.persons[person].set] = true
				s.cell.Persons = uint64(len(s.persons))
				if kind != eventstore.Day {
					continue
				}
				s.talks[talk] = true
				for i := range f.Sums {
					if s.cell.Sums[i] += f.Sums[i]; m.Counters()[i].Kind == readmodel.Conversations {
						s.cell.Sums[i] = uint64(len(s.talks))
					}
				}
			}
		}
		if m.Facts != nil {
			for _, c := range list {
				for _, f := range m.Facts(c.event) {
					count(c.event.Person, readmodel.Time(c.event), f,
						fmt.Sprint(c.event.Person, string(c.event.Event.Bot), "|", string(c.event.Event.Conversation)))
				}
			}
		}
		if m.Conversations != nil {
			for key, h := range histories {
				for _, f := range m.Conversations(readmodel.Value(string(key.bot)), h.Stretches()) {
					count(key.person, time.UnixMilli(f.At), f.Fact, "")
				}
			}
		}
		for _, s := range cells {
			tables[m.Name] = append(tables[m.Name], s.cell)
		}
		slices.SortFunc(tables[m.Name], func(a, b ExactCell) int {
			if a.Period != b.Period {
				return strings.Compare(a.Period.String(), b.Period.String())
			}
			return slices.Compare(a.Values, b.Values)
		})
	}
	return tables
}

// history draws what happens next in a world.
type history struct {
	*world
	rt      *rapid.T
	pending eventstore.PersonID
}

func (h *history) pick() eventstore.PersonID {
	var there []eventstore.PersonID
	for _, id := range h.order {
		if !h.persons[id].gone && !h.persons[id].fenced {
			there = append(there, id)
		}
	}
	if len(there) == 0 {
		return h.mint()
	}
	return rapid.SampledFrom(there).Draw(h.rt, "person")
}

func (h *history) message() eventstore.Event {
	e := eventstore.Event{
		Type: eventstore.TypeMessage, Text: rapid.SampledFrom([]string{"Bonjour !", "bonjour", "order 12"}).Draw(h.rt, "text"),
		Bot: eventstore.BotID(rapid.SampledFrom([]string{"shop", "shop", "bank"}).Draw(h.rt, "bot")),
		// Some are minutes apart, some hours, some weeks, in any order.
		Time: h.now.AddDate(0, 0, -rapid.IntRange(0, 2).Draw(h.rt, "days")*12).Add(time.Duration(rapid.SampledFrom([]int{-1, 0, 0, 0, 11, 12}).Draw(h.rt, "hour")) * time.Hour).
			Add(-time.Duration(rapid.IntRange(0, 100).Draw(h.rt, "minutes")) * time.Minute),
		Channel:      rapid.SampledFrom([]string{"", "web", "voice"}).Draw(h.rt, "channel"),
		Conversation: eventstore.ConversationID(rapid.SampledFrom([]string{"c1", "c2", "c3"}).Draw(h.rt, "conversation")),
		Author:       rapid.SampledFrom([]eventstore.Author{"user", "bot", "operator"}).Draw(h.rt, "author"),
		Language:     rapid.SampledFrom([]string{"fr", "en"}).Draw(h.rt, "language"),
	}
	if rapid.Bool().Draw(h.rt, "intent") {
		e.Intent = &eventstore.Intent{Name: rapid.SampledFrom([]string{"order", "refund"}).Draw(h.rt, "name"), Confidence: 0.5, Fallback: rapid.Bool().Draw(h.rt, "fallback")}
	}
	switch rapid.IntRange(0, 9).Draw(h.rt, "type") {
	case 0:
		e.Type, e.Handoff = eventstore.TypeHandoff, &eventstore.Handoff{To: "queue"}
	case 1:
		e.Type, e.ConversationState = eventstore.TypeConversation, &eventstore.ConversationState{
			State:   rapid.SampledFrom([]string{"started", "ended"}).Draw(h.rt, "state"),
			Outcome: rapid.SampledFrom([]string{"", "resolved", "abandoned", "handed-off"}).Draw(h.rt, "outcome"),
		}
	case 2:
		e.Type, e.Feedback = eventstore.TypeFeedback, &eventstore.Feedback{Score: float64(rapid.IntRange(0, 3).Draw(h.rt, "score")), Scale: 3}
	}
	return e
}

func (h *history) step() {
	switch rapid.IntRange(0, 20).Draw(h.rt, "step") {
	case 0:
		if len(h.order) < 6 {
			h.mint()
		}
	case 1, 2:
		h.link(h.pick(), h.pick())
	case 3:
		h.tell(eventstore.PersonRestricted, h.pick())
	case 4:
		h.tell(eventstore.PersonUnrestricted, h.pick())
	case 5:
		h.tell(eventstore.PersonObjected, h.pick())
	case 6:
		h.tell(eventstore.PersonUnobjected, h.pick())
	case 7:
		if rapid.Bool().Draw(h.rt, "erase") {
			h.erase(h.pick())
		}
	case 8:
		h.reseal(h.pick(), func() bool { return rapid.Bool().Draw(h.rt, "keep") })
	case 9:
		h.flush()
	case 10:
		if h.pending.IsZero() {
			h.pending = h.pick()
			h.fence(h.pending, true)
		}
	case 11:
		h.persons[h.pick()].held = rapid.Bool().Draw(h.rt, "hold")
	case 12:
		if rapid.IntRange(0, 2).Draw(h.rt, "expire") == 0 {
			november := eventstore.KeyMonthOf(h.now, h.now)
			h.expire(november - eventstore.KeyMonth(rapid.IntRange(0, 1).Draw(h.rt, "earlier")))
		}
	case 13:
		h.destroy()
	case 14:
		h.tell(eventstore.PersonAnalyticsGranted, h.pick())
	case 15:
		h.tell(eventstore.PersonAnalyticsRefused, h.pick())
	default:
		h.say(h.pick(), h.message())
	}
}

// settle ends a fence, by lifting it or by an erasure.
func (h *history) settle() {
	if h.pending.IsZero() {
		return
	}
	if rapid.Bool().Draw(h.rt, "lift") {
		h.fence(h.pending, false)
	} else {
		h.erase(h.pending)
	}
	h.pending = eventstore.PersonID{}
}

// TestLaw: for random histories in which the vault runs ahead of the stream and of the runner at any moment, in which the runner crashes and begins anew and the
// time zone changes, what was
// counted bit by bit is what a fresh database counts, and what a plain count says.
func TestLaw(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := &history{world: newWorld(), rt: rt}
		h.consent = rapid.IntRange(0, 3).Draw(rt, "consent") == 0
		fs := vfs.NewMem()
		p := h.open(t, fs)
		defer func() { closing(t, p) }()
		r := newRunner(t, p)
		count := func() {
			err := r.round()
			if err != nil && !errors.Is(err, eventstore.ErrFenced) {
				rt.Fatal(err)
			}
		}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "do") {
			case 0, 1:
				h.commit()
				h.ahead = rapid.IntRange(1, 4).Draw(rt, "ahead")
				busy := rapid.Bool().Draw(rt, "busy")
				h.between = func() {
					if busy && rapid.IntRange(0, 3).Draw(rt, "between") == 0 {
						h.step()
					}
				}
				count()
				h.between = nil
			case 2:
				h.settle()
			case 3:
				h.remove(p.Passed(acme))
			case 4:
				if rapid.IntRange(0, 3).Draw(rt, "restart") == 0 {
					closing(t, p)
					p = h.open(t, fs)
					r = newRunner(t, p)
				}
			case 5:
				if rapid.IntRange(0, 5).Draw(rt, "rezone") == 0 {
					zone, err := time.LoadLocation(rapid.SampledFrom([]string{"Etc/GMT-9", "Etc/GMT+9"}).Draw(rt, "zone"))
					if err != nil {
						rt.Fatal(err)
					}
					h.zone = zone
				}
				if rapid.IntRange(0, 5).Draw(rt, "policy") == 0 {
					h.consent = !h.consent
				}
			default:
				h.step()
			}
		}
		h.settle()
		h.catchUp(t, r)

		fresh := h.open(t, vfs.NewMem())
		defer closing(t, fresh)
		h.catchUp(t, newRunner(t, fresh))
		audit(t, p)
		got, rebuilt, plain := exact(t, p), exact(t, fresh), h.expected(models)
		for _, m := range models {
			if !reflect.DeepEqual(got[m.Name], rebuilt[m.Name]) {
				rt.Fatalf("%s: incremental %v\nrebuilt %v", m.Name, got[m.Name], rebuilt[m.Name])
			}
			if !reflect.DeepEqual(rebuilt[m.Name], plain[m.Name]) {
				rt.Fatalf("%s: rebuilt %v\nplain %v", m.Name, rebuilt[m.Name], plain[m.Name])
			}
		}
	})
}
