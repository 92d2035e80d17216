// Package cdr reads the call records of Asterisk: CSV in the order of columns of cdr_csv (Master.csv), as voicebots behind Asterisk
// leave them. What was said is not in them; who called when, how long, and with what end, is.
//
// # Columns
//
// accountcode, src, dst, dcontext, clid, channel, dstchannel, lastapp, lastdata, start, answer, end, duration, billsec, disposition,
// amaflags, and behind them, as configured: uniqueid, userfield (and peeraccount, linkedid, sequence). A first line that names the
// columns is skipped. A record is one line of at most 64 KiB, its fields quoted or not, a quote within a field doubled.
//
// # Mapping
//
// A record, one leg of a call, becomes two events:
//
//	start          conversation started, at that time
//	end            conversation ended, at that time; without it, start and duration count
//	disposition    data.disposition (answered, no-answer, busy, failed, congestion); NO ANSWER, BUSY, FAILED, CONGESTION: the
//	               outcome abandoned. That a call was answered says nothing about its outcome, so that ANSWERED has none, but for
//	lastapp        Queue, Transfer, BlindTransfer, AttendedTransfer of an answered call: the outcome handed-off
//	duration       data.duration, in seconds; data.billsec likewise
//	src            the identity: "phone" and the number in E.164, or "sip" and the extension
//	dst            the identity of a call from an own number (Options.Own); otherwise it is not kept
//	uniqueid       the conversation; linkedid where it is there
//	               channel is voice, in every event
//	all else       not kept: names (clid), arguments of applications (lastdata), accounts, userfield
//
// A src that is empty, anonymous, unknown, private or restricted is nobody: the call is stored without an identity.
//
// # Numbers and times
//
// A number in national form needs Options.Region (FR); without it, such a number is refused, as it would be filed under a handle
// that is nobody's. Up to six digits, and names, are extensions. Asterisk writes local times without a zone: Options.Zone
// says which, UTC if none. In the hour that occurs twice in autumn one of the two is meant for all.
//
// # Idempotency keys
//
// A hash of uniqueid, sequence, both channels, dst, start and end; where there is no uniqueid, of the whole record, exact
// repeats numbered. ".start" and ".end" stand behind it.
package cdr

import (
	"encoding/json"
	"io"
	"iter"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/importer/record"
)

// Name is the format's name.
const Name = "cdr"

// The columns.
const (
	src        = 1
	dst        = 2
	channel    = 5
	dstChannel = 6
	lastApp    = 7
	start      = 9
	end        = 11
	duration   = 12
	billsec    = 13
	outcome    = 14
	uniqueID   = 16
	linkedID   = 19
	sequence   = 20

	minColumns = 16
	maxColumns = 32
)

var (
	errSeconds = eventstore.Refuse(eventstore.KindInvalid, "data", "duration and billsec are whole seconds, at most 30 days")
	errRegion  = eventstore.Refuse(eventstore.KindInvalid, "identity", "the number is in national form; say the country with region")
	errEnd     = eventstore.Refuse(eventstore.KindInvalid, "disposition", "this is none of ANSWERED, NO ANSWER, BUSY, FAILED and CONGESTION")
	errBackTo  = eventstore.Refuse(eventstore.KindInvalid, "time", "the call ends before it begins")
)

// Read is the [record.Format] of call records.
func Read(r io.Reader, o record.Options, counts *record.Counts) iter.Seq2[record.Item, error] {
	if counts == nil {
		counts = new(record.Counts)
	}
	return func(yield func(record.Item, error) bool) {
		im := newImporter(record.NewSink(o, counts, yield), o)
		in := newLines(r)
		for {
			line, at, err := in.next()
			if err == io.EOF {
				return
			}
			counts.Documents = at.Document
			if err != nil {
				if !im.sink.Problem(err, at) || in.failed {
					return
				}
				continue
			}
			if !im.record(line, at) {
				return
			}
		}
	}
}

type importer struct {
	sink    *record.Sink
	options record.Options
	zone    *time.Location
	own     map[string]bool
	repeats record.Repeats
}

func newImporter(sink *record.Sink, o record.Options) *importer {
	im := &importer{sink: sink, options: o, zone: o.Zone, own: map[string]bool{}}
	if im.zone == nil {
		im.zone = time.UTC
	}
	for _, n := range o.Own {
		im.own[n] = true
		if e164, ok := record.National(o.Region, n); ok {
			im.own[e164] = true
		}
	}
	return im
}

// content is the data of the event at the end.
type content struct {
	Duration    int    `json:"duration"`
	Billsec     int    `json:"billsec"`
	Disposition string `json:"disposition"`
}

// record maps one line.
func (im *importer) record(line []string, at record.Position) bool {
	if at.Document == 1 && line[src] == "src" && line[dst] == "dst" {
		return im.sink.Skip(record.KindNoEvent)
	}
	first, last, c, err := im.course(line)
	if err != nil {
		return im.sink.Problem(err, at)
	}
	who, err := im.person(line)
	if err != nil {
		return im.sink.Problem(err, at)
	}
	state, known := outcomeOf(line[outcome], line[lastApp])
	if !known {
		return im.sink.Problem(errEnd, at)
	}
	c.Disposition = strings.ReplaceAll(strings.ToLower(line[outcome]), " ", "-")
	id := call(line)
	key := im.key(line, id)
	ev := eventstore.Event{Type: eventstore.TypeConversation, Time: first, Identity: who, Channel: "voice", Key: key + ".start",
		Conversation: conversation(line, id, key), ConversationState: &eventstore.ConversationState{State: "started"}}
	if !im.sink.Event(ev, at) {
		return false
	}
	ev.Time, ev.Key = last, key+".end"
	ev.ConversationState = &eventstore.ConversationState{State: "ended", Outcome: state}
	ev.Data, _ = json.Marshal(c)
	return im.sink.Event(ev, at)
}

// course reads when a call was.
func (im *importer) course(line []string) (first, last time.Time, c content, err error) {
	for i, to := range map[int]*int{duration: &c.Duration, billsec: &c.Billsec} {
		n, err := strconv.Atoi(line[i])
		if err != nil || n < 0 || n > 30*24*3600 {
			return first, last, c, errSeconds
		}
		*to = n
	}
	if first, err = im.moment(line[start]); err != nil {
		return first, last, c, err
	}
	if line[end] == "" {
		return first, first.Add(time.Duration(c.Duration) * time.Second), c, nil
	}
	if last, err = im.moment(line[end]); err == nil && last.Before(first) {
		if last = first.Add(time.Duration(c.Duration) * time.Second); im.zone == time.UTC {
			err = errBackTo // elsewhere the clock was put back
		}
	}
	return first, last, c, err
}

func (im *importer) moment(v string) (time.Time, error) {
	t, err := time.ParseInLocation("2006-01-02 15:04:05.999999", v, im.zone)
	if t = t.UTC(); err != nil || t.Year() < 1970 || t.Year() > 2199 {
		return time.Time{}, record.ErrTime
	}
	return t, nil
}

// outcomeOf says how a call ended.
func outcomeOf(disposition, app string) (state string, known bool) {
	switch disposition {
	case "ANSWERED":
		switch strings.ToLower(app) {
		case "queue", "transfer", "blindtransfer", "attendedtransfer":
			return "handed-off", true
		}
		return "", true
	case "NO ANSWER", "BUSY", "FAILED", "CONGESTION":
		return "abandoned", true
	}
	return "", false
}

// person is the caller, or who was called from an own number.
func (im *importer) person(line []string) (*eventstore.Identity, error) {
	from, err := im.handle(line[src])
	if err != nil || from == nil || !im.own[from.ID] && !im.own[line[src]] {
		return from, err
	}
	return im.handle(line[dst])
}

var (
	digits = regexp.MustCompile(`^\+?[0-9][0-9 .()/-]*$`)
	nobody = map[string]bool{"": true, "s": true, "anonymous": true, "unknown": true, "private": true, "restricted": true, "unavailable": true}
)

// handle makes an identity of a number or an extension.
func (im *importer) handle(v string) (*eventstore.Identity, error) {
	v = strings.TrimSpace(v)
	bare := strings.Count(v, "") - 1
	switch {
	case nobody[strings.ToLower(v)]:
		return nil, nil
	case !digits.MatchString(v) || bare <= 6 && v[0] != '+':
		return &eventstore.Identity{Namespace: "sip", ID: v}, nil
	}
	number := v
	if rest, ok := strings.CutPrefix(v, "00"); ok && im.options.Region == "" {
		number = "+" + rest
	}
	if e164, ok := record.National(im.options.Region, number); ok {
		return &eventstore.Identity{Namespace: eventstore.NamespacePhone, ID: e164}, nil
	}
	if id := record.Handle("sip", number); id.Namespace == eventstore.NamespacePhone {
		return id, nil
	}
	if im.options.Region == "" {
		return nil, errRegion
	}
	return &eventstore.Identity{Namespace: "sip", ID: v}, nil
}

var unique = regexp.MustCompile(`^(?:[A-Za-z0-9_.-]{1,64}-)?[0-9]{9,12}\.[0-9]{1,12}$`)

// call is the uniqueid, if the records have one: where it is not configured, userfield may stand in its place.
func call(line []string) string {
	if len(line) > uniqueID && unique.MatchString(line[uniqueID]) {
		return line[uniqueID]
	}
	return ""
}

func (im *importer) key(line []string, id string) string {
	if id == "" {
		return im.repeats.Distinct("cdr:" + record.Digest(line...))
	}
	leg := ""
	if len(line) > sequence {
		leg = line[sequence]
	}
	return "cdr:" + record.Digest(id, leg, line[channel], line[dstChannel], line[dst], line[start], line[end])
}

func conversation(line []string, id, key string) eventstore.ConversationID {
	switch {
	case id == "":
		return eventstore.ConversationID("call-" + strings.TrimPrefix(key, "cdr:"))
	case len(line) > linkedID && unique.MatchString(line[linkedID]):
		id = line[linkedID]
	}
	return eventstore.ConversationID("call-" + id)
}
