package release

import (
	"fmt"
	"math/bits"
	"strings"
)

// Epsilon is a privacy loss, in thousandths; 0 is no noise.
type Epsilon uint64

// The bounds of an [Epsilon].
const (
	// MinEpsilon is 0.01: with less, nothing but noise is left.
	MinEpsilon Epsilon = 10
	// MaxEpsilon is 10: with more, the noise hides nobody.
	MaxEpsilon Epsilon = 10_000
)

// String is a decimal number, such as 0.5.
func (e Epsilon) String() string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%03d", e/1000, e%1000), "0"), ".")
}

// How one person's influence on a noised release is bounded.
const (
	// MaxCells is in how many cells one person counts.
	MaxCells = 4
	// Weight times [Rules].Bound is how much all measures of one person in one cell are together: one event adds to about as many of them.
	Weight = 4
)

// rareness is how seldom a cell of one person reaches the threshold: once in 2^20. e^-14 is less.
const rareness = 14

// Rules are what a release is made by.
type Rules struct {
	// K is the fewest distinct persons of a published row.
	K int
	// Bound is the most that one person adds to a measure of a cell; 0: no bound.
	Bound uint64
	// Epsilon is the privacy loss of one release, 0 for no noise. With noise there must be a Bound.
	Epsilon Epsilon
}

// scale is a rational number.
type scale struct{ over, under uint64 }

// personsScale is the scale of the noise on counts of persons.
func (r Rules) personsScale(dimensions, measures int) scale {
	return scale{over: uint64(MaxCells*(dimensions+1)) * 1000 * r.parts(measures), under: uint64(r.Epsilon)}
}

// sumsScale is the scale of the noise on measures.
func (r Rules) sumsScale(measures int) scale {
	return scale{over: MaxCells * Weight * r.Bound * 1000 * r.parts(measures), under: uint64(r.Epsilon)}
}

// parts is into how many equal parts ε goes.
func (r Rules) parts(measures int) uint64 {
	if measures == 0 {
		return 1
	}
	return 2
}

// Threshold is what the count of a row's persons must reach: K, or with noise what a cell of a single person reaches at most once in 2^20.
func (r Rules) Threshold(dimensions, measures int) uint64 {
	if r.Epsilon == 0 {
		return uint64(r.K)
	}
	s := r.personsScale(dimensions, measures)
	// P(1 + noise ≥ 1 + m) < e^(-m/scale), which is at most e^-14 from m = 14 × scale on.
	hi, lo := bits.Mul64(rareness, s.over)
	m, rest := bits.Div64(hi, lo, s.under)
	if rest > 0 {
		m++
	}
	return max(uint64(r.K), 1+m)
}

// check says whether the rules can be followed.
func (r Rules) check() error {
	switch {
	case r.K < 1:
		return fmt.Errorf("release: k is %d", r.K)
	case r.Epsilon != 0 && (r.Epsilon < MinEpsilon || r.Epsilon > MaxEpsilon):
		return fmt.Errorf("release: ε is %s, outside of %s to %s", r.Epsilon, MinEpsilon, MaxEpsilon)
	case r.Epsilon != 0 && (r.Bound == 0 || r.Bound > 1_000_000):
		return fmt.Errorf("release: noise needs a bound of one person's contribution of at most a million, not %d", r.Bound)
	}
	return nil
}
