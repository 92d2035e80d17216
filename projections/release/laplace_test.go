package release_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/oubli-store/oubli/projections/release"
)

// seeded is a source of uniform bytes that is the same every time.
func seeded(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

// probability is that of x under the discrete Laplace distribution of scale over/under.
func probability(x int64, over, under uint64) float64 {
	a := math.Exp(-float64(under) / float64(over))
	return (1 - a) / (1 + a) * math.Pow(a, math.Abs(float64(x)))
}

// chiSquare compares counts with what is expected and says how many standard deviations the statistic is above its mean (Wilson and Hilferty).
func chiSquare(got map[int64]int, expected map[int64]float64) float64 {
	statistic, classes := 0.0, 0
	for x, e := range expected {
		d := float64(got[x]) - e
		statistic += d * d / e
		classes++
	}
	df := float64(classes - 1)
	return (math.Cbrt(statistic/df) - (1 - 2/(9*df))) / math.Sqrt(2/(9*df))
}

// TestLaplaceDistribution: draws have the distribution that the theory says, value by value, tails too, for scales below and above 1, whole and not.
// A sampler of another scale, or one whose zero is drawn twice as often, fails the same test.
func TestLaplaceDistribution(t *testing.T) {
	const draws = 200_000
	sample := func(seed byte, over, under uint64) map[int64]int {
		l, got := release.NewLaplace(seeded(seed)), map[int64]int{}
		for range draws {
			x, err := l.Draw(over, under)
			if err != nil {
				t.Fatal(err)
			}
			got[x]++
		}
		return got
	}
	against := func(got map[int64]int, over, under uint64) float64 {
		// Values that are expected less than 20 times stand together in one class on each side.
		classes, expected := map[int64]int{}, map[int64]float64{}
		edge := int64(0)
		for draws*probability(edge+1, over, under) >= 20 {
			edge++
		}
		tail := (1 - probability(0, over, under))
		for x := -edge; x <= edge; x++ {
			expected[x] = draws * probability(x, over, under)
			if x > 0 {
				tail -= 2 * probability(x, over, under)
			}
		}
		expected[edge+1], expected[-edge-1] = draws*tail/2, draws*tail/2
		for x, n := range got {
			classes[min(max(x, -edge-1), edge+1)] += n
		}
		return chiSquare(classes, expected)
	}
	for i, s := range []struct{ over, under uint64 }{{1, 1}, {1, 3}, {3, 1}, {5, 2}, {40, 1}, {20_000, 1_000}, {1_000_000, 333_333}} {
		t.Run(fmt.Sprintf("%d over %d", s.over, s.under), func(t *testing.T) {
			got := sample(byte(i), s.over, s.under)
			if z := against(got, s.over, s.under); z > 4 {
				t.Errorf("%.1f standard deviations from the theory", z)
			}
			if z := against(got, s.over*12, s.under*11); z < 4 {
				t.Errorf("the test does not notice a scale that is 9 %% larger: %.1f", z)
			}
			got[0] *= 2
			if z := against(got, s.over, s.under); z < 4 {
				t.Errorf("the test does not notice a zero that is drawn twice as often: %.1f", z)
			}
		})
	}
}

// TestLaplaceMoments: a scale in the ten thousands, too wide for classes of single values, has the theory's mean and variance.
func TestLaplaceMoments(t *testing.T) {
	const draws, over, under = 100_000, 64_000_000, 1_000
	l := release.NewLaplace(seeded(42))
	sum, squares := 0.0, 0.0
	for range draws {
		x, err := l.Draw(over, under)
		if err != nil {
			t.Fatal(err)
		}
		sum += float64(x)
		squares += float64(x) * float64(x)
	}
	scale := float64(over) / under
	deviation := scale * math.Sqrt2
	if mean := sum / draws; math.Abs(mean) > 4*deviation/math.Sqrt(draws) {
		t.Errorf("the mean is %.1f", mean)
	}
	// The variance of a square of Laplace noise is 20 scale⁴.
	if v := squares / draws; math.Abs(v-2*scale*scale) > 4*math.Sqrt(20)*scale*scale/math.Sqrt(draws) {
		t.Errorf("the variance is %.3g, not %.3g", v, 2*scale*scale)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

type stuck byte

func (s stuck) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(s)
	}
	return len(b), nil
}

// TestLaplaceRefuses: no noise is made of a broken source, nor of a scale that does not fit.
func TestLaplaceRefuses(t *testing.T) {
	if _, err := release.NewLaplace(broken{}).Draw(1, 1); err == nil {
		t.Error("noise without entropy")
	}
	if _, err := release.NewLaplace(stuck(0)).Draw(3, 1); err == nil {
		t.Error("noise of a source that is stuck")
	}
	for _, s := range [][2]uint64{{0, 1}, {1, 0}, {1 << 41, 1}, {1, 1 << 41}} {
		if _, err := release.NewLaplace(seeded(1)).Draw(s[0], s[1]); err == nil {
			t.Errorf("a scale of %d over %d", s[0], s[1])
		}
	}
}
