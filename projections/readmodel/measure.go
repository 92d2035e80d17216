package readmodel

import (
	"fmt"
	"math"
	"strconv"
)

// Text says the same in English and in French, for people.
type Text struct{ EN, FR string }

// Kind says how a measure adds up.
type Kind byte

// The kinds of measures.
const (
	// Count is how many of something the facts name; Sum the sum of amounts that they carry. They add up the same way, and read differently.
	Count Kind = iota
	Sum
	// Persons is the number of distinct persons of a whole period. Every model has it without declaring it ([DistinctPersons]). It is the one measure
	// that is not additive.
	Persons
	// Conversations counts the distinct conversations of the facts; what a fact says for it is ignored. It is counted for each person id: one
	// conversation that two of them share counts twice, also when they are one human. Over days it adds up: a conversation counts on each of its days.
	Conversations
	// Histogram counts amounts by buckets with fixed bounds, one counter for each bucket.
	Histogram
	// Distribution counts by named classes in an order, one counter for each class.
	Distribution
)

func (k Kind) String() string {
	return [...]string{"count", "sum", "distinct persons", "conversations", "histogram", "distribution"}[k]
}

// Additive says whether the measure of a week or month is the sum of that of its days.
func (k Kind) Additive() bool { return k != Persons }

// Measure is one thing that is counted in a cell, by one counter or several.
type Measure struct {
	Name    string
	Meaning Text
	Kind    Kind
	// Buckets are those of a [Histogram] in ascending order, or the classes of a [Distribution].
	Buckets []Bucket
	// Unit is that of a histogram's bounds: "s", or none for a plain number.
	Unit string
	// Percentiles are read from a histogram when it is answered (50 is the median); nothing is stored for them. See [Measure.Percentile].
	Percentiles []int
}

// Bucket is one counter of a histogram or of a distribution. Its column is called after the measure and the label: answer_time_lt1.
type Bucket struct {
	Label string
	// Below is where the bucket of a histogram ends; it begins where the one before it ends. The last one ends at [Open].
	Below float64
	// Meaning is that of a class of a distribution; histograms say their bounds.
	Meaning Text
}

// Open is the end of a histogram's last bucket.
var Open = math.Inf(1)

// DistinctPersons is the measure that every model has.
var DistinctPersons = Measure{Name: "persons", Kind: Persons, Meaning: Text{
	EN: "distinct persons of the whole period; they do not add up",
	FR: "personnes distinctes de toute la période ; elles ne s'additionnent pas",
}}

// Width is how many counters the measure has.
func (m *Measure) Width() int {
	if len(m.Buckets) > 0 {
		return len(m.Buckets)
	}
	return 1
}

// Bucket is the place of an amount in a histogram. An amount below the first bucket falls into the first.
func (m *Measure) Bucket(amount float64) int {
	for i, b := range m.Buckets {
		if amount < b.Below {
			return i
		}
	}
	return len(m.Buckets) - 1
}

// Percentile reads a percentile, from 1 to 99, from the counters of a histogram, as if the amounts lay evenly within their bucket. It is false if nothing was
// counted, or if it lies in the open last bucket: then all that is known is that it is at least where that begins, which is what is returned.
func (m *Measure) Percentile(counters []uint64, percent int) (amount float64, known bool) {
	total := uint64(0)
	for _, n := range counters {
		total += n
	}
	if total == 0 {
		return 0, false
	}
	rank, low := float64(total)*float64(percent)/100, 0.0
	for i, n := range counters {
		if float64(n) >= rank {
			if math.IsInf(m.Buckets[i].Below, 1) {
				return low, false
			}
			return low + (m.Buckets[i].Below-low)*rank/float64(n), true
		}
		rank -= float64(n)
		low = m.Buckets[i].Below
	}
	return low, false // not reached: the ranks add up to the total
}

// Counter is one number of a cell, and one column of a table.
type Counter struct {
	Name    string
	Meaning Text
	// Measure is the place of the counter's measure among the model's.
	Measure int
	Kind    Kind
}

// counters lists those of a measure.
func (m *Measure) counters(at int) (out []Counter) {
	if len(m.Buckets) == 0 {
		return []Counter{{m.Name, m.Meaning, at, m.Kind}}
	}
	low := 0.0
	for _, b := range m.Buckets {
		meaning := b.Meaning
		if m.Kind == Histogram {
			meaning = between(low, b.Below, m.Unit)
			low = b.Below
		}
		meaning = Text{EN: m.Meaning.EN + ": " + meaning.EN, FR: m.Meaning.FR + " : " + meaning.FR}
		out = append(out, Counter{m.Name + "_" + b.Label, meaning, at, m.Kind})
	}
	return out
}

func between(low, below float64, unit string) Text {
	if unit != "" {
		unit = " " + unit
	}
	number := func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
	if math.IsInf(below, 1) {
		return Text{EN: fmt.Sprintf("from %s%s", number(low), unit), FR: fmt.Sprintf("à partir de %s%s", number(low), unit)}
	}
	return Text{
		EN: fmt.Sprintf("from %s up to, not including, %s%s", number(low), number(below), unit),
		FR: fmt.Sprintf("de %s à moins de %s%s", number(low), number(below), unit),
	}
}
