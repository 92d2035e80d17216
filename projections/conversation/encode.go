package conversation

import (
	"encoding/binary"
	"errors"
	"slices"
)

// errHistory: the bytes are not those of a history.
var errHistory = errors.New("a history of conversations cannot be read")

// Append writes a history: the names and marks that occur in it, each once, and then the events, which point to them.
//
//	count ‖ (length ‖ name)*    count ‖ mark(8)*    count ‖ (milliseconds since the last one ‖ flags ‖ mark ‖ channel ‖ intent)*
//
// All numbers are unsigned varints but the first time, which is signed; an intent is 0 for none, or its place plus 1.
func (h *History) Append(b []byte) []byte {
	var names []string
	var marks []Mark
	name := func(s string) uint64 {
		i := slices.Index(names, s)
		if i < 0 {
			i, names = len(names), append(names, s)
		}
		return uint64(i)
	}
	var events []byte
	var last int64
	for i, e := range h.Events {
		mark := slices.Index(marks, e.Conversation)
		if mark < 0 {
			mark, marks = len(marks), append(marks, e.Conversation)
		}
		if i == 0 {
			events = binary.AppendVarint(events, e.At)
		} else {
			events = binary.AppendUvarint(events, uint64(e.At-last))
		}
		last = e.At
		intent := uint64(0)
		if e.Intent != "" {
			intent = name(e.Intent) + 1
		}
		for _, n := range []uint64{uint64(e.Flags), uint64(mark), name(e.Channel), intent} {
			events = binary.AppendUvarint(events, n)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(names)))
	for _, n := range names {
		b = append(binary.AppendUvarint(b, uint64(len(n))), n...)
	}
	b = binary.AppendUvarint(b, uint64(len(marks)))
	for _, m := range marks {
		b = append(b, m[:]...)
	}
	return append(binary.AppendUvarint(b, uint64(len(h.Events))), events...)
}

// Parse reads what [History.Append] wrote, and returns an error for anything else.
func Parse(b []byte) (*History, error) {
	r := reader{b: b}
	names := make([]string, r.count(1))
	for i := range names {
		names[i] = string(r.take(r.number()))
	}
	marks := make([]Mark, r.count(len(Mark{})))
	for i := range marks {
		copy(marks[i][:], r.take(uint64(len(Mark{}))))
	}
	h := &History{Events: make([]Event, r.count(5))}
	for i := range h.Events {
		e := &h.Events[i]
		if i == 0 {
			e.At = r.signed()
		} else {
			e.At = h.Events[i-1].At + int64(r.number())
		}
		e.Flags = Flags(r.number())
		mark, channel, intent := r.number(), r.number(), r.number()
		if mark >= uint64(len(marks)) || channel >= uint64(len(names)) || intent > uint64(len(names)) {
			return nil, errHistory
		}
		e.Conversation, e.Channel = marks[mark], names[channel]
		if intent > 0 {
			e.Intent = names[intent-1]
		}
	}
	if r.bad || len(r.b) > 0 {
		return nil, errHistory
	}
	return h, nil
}

// reader takes numbers and bytes off a slice; bad says that there were too few.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	return n * r.step(size)
}

func (r *reader) signed() int64 {
	n, size := binary.Varint(r.b)
	return n * int64(r.step(size))
}

// step is 1, or 0 for a number that cannot be read.
func (r *reader) step(size int) uint64 {
	if size <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[size:]
	return 1
}

// count is a number of things of at least size bytes each.
func (r *reader) count(size int) int {
	n := r.number()
	if n > uint64(len(r.b)/size) {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n)
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}
