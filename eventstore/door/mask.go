package door

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// hidden is a place in a text that is replaced by a label, in bytes, end exclusive.
type hidden struct {
	start, end int
	label      string
}

// merge orders places and makes one of those that touch each other's insides: the label is that of the first.
func merge(all []hidden) []hidden {
	slices.SortStableFunc(all, func(a, b hidden) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return b.end - a.end
	})
	out := all[:0]
	for _, h := range all {
		if n := len(out); n > 0 && h.start < out[n-1].end {
			out[n-1].end = max(out[n-1].end, h.end)
			continue
		}
		out = append(out, h)
	}
	return out
}

// masked is a text with places replaced, and where its code points went, replacement by replacement.
type masked struct {
	text  string
	turns [][]move
}

// move says of a replaced place where it began and ended before, and where it ends now, in code points.
type move struct{ start, end, newEnd int }

// replace puts labels in the place of what is hidden; all must be merged.
func (m *masked) replace(all []hidden) {
	var out strings.Builder
	moves := make([]move, 0, len(all))
	at, points, newPoints := 0, 0, 0
	for _, h := range all {
		n := utf8.RuneCountInString(m.text[at:h.start])
		out.WriteString(m.text[at:h.start])
		out.WriteString(h.label)
		points, newPoints = points+n, newPoints+n
		v := move{start: points}
		points += utf8.RuneCountInString(m.text[h.start:h.end])
		newPoints += utf8.RuneCountInString(h.label)
		v.end, v.newEnd = points, newPoints
		moves = append(moves, v)
		at = h.end
	}
	out.WriteString(m.text[at:])
	m.text, m.turns = out.String(), append(m.turns, moves)
}

// span moves a span of code points along. touched says that it reached into something that is hidden: it then covers the whole label.
func (m *masked) span(start, end int) (newStart, newEnd int, touched bool) {
	for _, moves := range m.turns {
		var t bool
		start, end, t = moved(moves, start, end)
		touched = touched || t
	}
	return start, end, touched
}

func moved(moves []move, start, end int) (newStart, newEnd int, touched bool) {
	shift := 0 // of what stands before start
	for _, v := range moves {
		switch {
		case v.end <= start:
			shift = v.newEnd - v.end
		case start < v.end && end > v.start || start == end && start > v.start:
			if !touched {
				newStart = min(start, v.start) + shift
			}
			touched = true
			newEnd = v.newEnd + max(0, end-v.end)
		}
	}
	if !touched {
		return start + shift, end + shift, false
	}
	return newStart, newEnd, true
}

// bytesAt gives the byte offsets of a span of code points; ok is false if the text has not that many.
func bytesAt(text string, start, end int) (from, to int, ok bool) {
	if start < 0 || end <= start {
		return 0, 0, false
	}
	n := 0
	for i := range text {
		if n == start {
			from, ok = i, true
		}
		if n == end {
			return from, i, ok
		}
		n++
	}
	return from, len(text), ok && n == end
}
