package settings

import (
	"strconv"
	"strings"
	"time"

	"github.com/oubli-store/oubli/projections"
	"github.com/oubli-store/oubli/projections/release"
)

const (
	// maxBudget is the largest budget of a year, in thousandths.
	maxBudget release.Epsilon = 100_000_000
	// maxGrace is less than the 14 days after which a period is closed whatever comes in.
	maxGrace = 312
)

// epsilon reads a decimal number with at most three decimals.
func epsilon(v string) (release.Epsilon, bool) {
	whole, part, _ := strings.Cut(v, ".")
	if len(whole) > 6 || len(part) > 3 || whole == "" || strings.HasSuffix(v, ".") {
		return 0, false
	}
	n, err := strconv.ParseUint(whole+part+strings.Repeat("0", 3-len(part)), 10, 64)
	return release.Epsilon(n), err == nil
}

func isEpsilon(v string, most release.Epsilon) bool {
	e, ok := epsilon(v)
	return ok && e >= release.MinEpsilon && e <= most
}

// hours reads a whole number of hours.
func hours(v string) (time.Duration, bool) {
	digits, isHours := strings.CutSuffix(v, "h")
	n, err := strconv.Atoi(digits)
	return time.Duration(n) * time.Hour, isHours && err == nil && strconv.Itoa(n) == digits && n >= 1 && n <= maxGrace
}

// Analytics are the settings that projections ask for.
func (t Tenant) Analytics() projections.Settings {
	e, _ := epsilon(t.Epsilon)
	budget, _ := epsilon(t.EpsilonBudget)
	grace, _ := hours(t.Grace)
	keep, _ := retention(t.StatsRetention)
	return projections.Settings{K: t.K, Zone: t.Zone(), Bound: uint64(t.Bound), Epsilon: e, Budget: budget, Grace: grace, Keep: keep, Consent: t.Counted == "consent"}
}
