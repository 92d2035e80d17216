package eventstore

import (
	"fmt"
	"time"
)

// PeriodKind is a unit of analytics.
type PeriodKind byte

// The units.
const (
	Day   PeriodKind = 'd'
	Week  PeriodKind = 'w'
	Month PeriodKind = 'm'
)

// Period is a civil day, ISO week or month of a tenant's time zone. It is comparable.
type Period struct {
	Kind PeriodKind `cbor:"1,keyasint"`
	// First is the first civil day, as days since 1970-01-01.
	First int32 `cbor:"2,keyasint"`
}

// PeriodOf is the period of a kind that holds the instant t in the zone.
func PeriodOf(kind PeriodKind, t time.Time, zone *time.Location) Period {
	t = t.In(zone)
	return periodOfDate(kind, time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC))
}

func periodOfDate(kind PeriodKind, day time.Time) Period {
	switch kind {
	case Week:
		day = day.AddDate(0, 0, -(int(day.Weekday())+6)%7)
	case Month:
		day = time.Date(day.Year(), day.Month(), 1, 0, 0, 0, 0, time.UTC)
	}
	return Period{Kind: kind, First: int32(floorDiv(day.Unix(), 86400))}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// Date is the first civil day, as midnight UTC.
func (p Period) Date() time.Time { return time.Unix(int64(p.First)*86400, 0).UTC() }

// Next is the period that follows.
func (p Period) Next() Period {
	switch p.Kind {
	case Week:
		return periodOfDate(Week, p.Date().AddDate(0, 0, 7))
	case Month:
		return periodOfDate(Month, p.Date().AddDate(0, 1, 0))
	}
	return periodOfDate(Day, p.Date().AddDate(0, 0, 1))
}

// String is 2026-11-22, 2026-W47 or 2026-11.
func (p Period) String() string {
	switch d := p.Date(); p.Kind {
	case Week:
		y, w := d.ISOWeek()
		return fmt.Sprintf("%04d-W%02d", y, w)
	case Month:
		return d.Format("2006-01")
	default:
		return d.Format("2006-01-02")
	}
}

// PeriodsOf lists every period that an event of one of the key months can count in, in whatever time zone: the days of the month with
// one more on either side (a zone, and an event time that is up to [MaxAhead] ahead), the weeks and months that hold them. It is how an erasure
// knows all its period marks without asking a projection, in at most 42 periods a month.
func PeriodsOf(months []KeyMonth) []Period {
	var out []Period
	seen := map[Period]bool{}
	for _, m := range months {
		last := m.End()
		for day := m.Start().AddDate(0, 0, -1); !day.After(last); day = day.AddDate(0, 0, 1) {
			for _, kind := range []PeriodKind{Day, Week, Month} {
				if p := periodOfDate(kind, day); !seen[p] {
					seen[p] = true
					out = append(out, p)
				}
			}
		}
	}
	return out
}
