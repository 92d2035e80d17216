package release_test

import (
	"math"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/release"
)

// TestAttackPlaying: an attacker plays as many persons as bring a cell to the edge, and looks whether one more is there. Without noise the answer is certain. With noise,
// whether the cell is published at all is at most e^(ε/2) more likely with the victim than without: that is the bound, give or take what so many runs can show.
func TestAttackPlaying(t *testing.T) {
	rules := release.Rules{K: 10, Bound: 5, Epsilon: 4000}
	shown := func(rules release.Rules, persons, runs int, seed byte) float64 {
		list := make([][]release.Cell, persons)
		for i := range list {
			list[i] = []release.Cell{{Values: []string{"a", "b", "c"}, Sums: []uint64{1}}}
		}
		noise, n := release.NewLaplace(seeded(seed)), 0
		for range runs {
			f, err := fill(t, rules, eventstore.Day, 1, list).Figures(noise)
			if err != nil {
				t.Fatal(err)
			}
			if len(f.Rows) > 0 {
				n++
			}
		}
		return float64(n) / float64(runs)
	}
	plain := release.Rules{K: 10}
	if shown(plain, 9, 1, 0) != 0 || shown(plain, 10, 1, 0) != 1 {
		t.Error("without noise the edge is not where k is")
	}
	const runs = 3000
	edge := int(rules.Threshold(dimensions, 1))
	without, with := shown(rules, edge-1, runs, 1), shown(rules, edge, runs, 2)
	slack := 4 * math.Sqrt(0.25/runs)
	if most := math.Exp(float64(rules.Epsilon) / 2000); with > most*(without+slack)+slack || 1-without > most*(1-with+slack)+slack {
		t.Errorf("shown with %.3f with the victim, %.3f without", with, without)
	}
	if without == 0 || with == 1 {
		t.Error("the edge is certain though there is noise")
	}
	if shown(rules, 1, runs, 3) > 0 {
		t.Error("a person alone was published")
	}
}
