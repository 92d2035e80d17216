package projections

import (
	"cmp"
	"slices"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

const (
	// latest is when a period is closed whatever still comes in, after it ended or after its first event came in.
	latest = 14 * 24 * time.Hour
	// closeEvery is how often periods that are due are looked for while nothing happens.
	closeEvery = time.Minute
)

// due lists the open periods that are to be closed now, in the order in which they ended, the shorter ones first. asked says of a period that ended whether somebody
// asked for its close. A month waits for its last week: what a week counts of the month's days is kept with the month.
func due(open []openPeriod, s Settings, now time.Time, asked func(eventstore.Period) bool) (out []openPeriod) {
	ready := map[eventstore.Period]bool{}
	there := map[eventstore.Period]bool{}
	for _, o := range open {
		there[o.Period] = true
		end := begin(o.Next(), s.Zone)
		if end.After(now) {
			continue
		}
		quiet := !end.Add(s.Grace).After(now) && !o.last.Add(s.Grace).After(now)
		last := end
		if o.first.After(end) {
			last = o.first
		}
		ready[o.Period] = quiet || !last.Add(latest).After(now) || asked(o.Period)
	}
	for _, o := range open {
		if !ready[o.Period] {
			continue
		}
		if o.Kind == eventstore.Month {
			lastDay := o.Next().Date().AddDate(0, 0, -1)
			if w := eventstore.PeriodOf(eventstore.Week, lastDay, time.UTC); there[w] && !ready[w] {
				continue
			}
		}
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b openPeriod) int {
		return cmp.Or(a.Next().Date().Compare(b.Next().Date()), cmp.Compare(order(a.Kind), order(b.Kind)))
	})
	// A month must stand behind its last week also where that ends later.
	slices.SortStableFunc(out, func(a, b openPeriod) int { return cmp.Compare(order(a.Kind)/2, order(b.Kind)/2) })
	return out
}

// order is the place of a kind among the kinds.
func order(k eventstore.PeriodKind) int {
	return slices.Index(kinds[:], k)
}
