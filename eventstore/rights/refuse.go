package rights

import (
	"strconv"
	"strings"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

var errRefuseFor = eventstore.Refuse(eventstore.KindInvalid, "refuse_for", "a refusal lasts a whole number of days, at most two years: 365d")

// ParseRefuseFor reads how long handles are to be refused after an erasure: days, such as 365d; empty for not at all. ErrInvalid.
func ParseRefuseFor(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	days, ok := strings.CutSuffix(s, "d")
	n, err := strconv.ParseUint(days, 10, 16)
	span := time.Duration(n) * 24 * time.Hour
	if !ok || err != nil || n == 0 || span > eventstore.MaxRefusal {
		return 0, errRefuseFor
	}
	return span, nil
}

// RefusedUntil is when a refusal ends that begins now; the zero time if none was asked for.
func RefusedUntil(now time.Time, refuseFor time.Duration) time.Time {
	if refuseFor == 0 {
		return time.Time{}
	}
	return now.Add(refuseFor)
}
