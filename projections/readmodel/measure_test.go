package readmodel_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/oubli-store/oubli/projections/readmodel"
)

var wait = readmodel.Measure{Name: "wait", Kind: readmodel.Histogram, Unit: "s", Meaning: readmodel.Text{EN: "waits", FR: "attentes"},
	Buckets: []readmodel.Bucket{{Label: "lt1", Below: 1}, {Label: "lt5", Below: 5}, {Label: "lt10", Below: 10}, {Label: "ge10", Below: readmodel.Open}}}

// TestPercentile: a percentile lies in the bucket in which the amount of that rank lies.
func TestPercentile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amounts := rapid.SliceOfN(rapid.Float64Range(0, 20), 1, 50).Draw(t, "amounts")
		percent := rapid.IntRange(1, 99).Draw(t, "percent")
		counters := make([]uint64, wait.Width())
		for _, a := range amounts {
			counters[wait.Bucket(a)]++
		}
		got, known := wait.Percentile(counters, percent)
		most := 0
		rank := (len(amounts)*percent + 99) / 100
		for i, n := range counters {
			if most += int(n); most >= rank {
				if want := i < wait.Width()-1; known != want {
					t.Fatalf("known is %v in bucket %d", known, i)
				}
				low := append([]float64{0}, 1, 5, 10)[i]
				if got < low || known && got > wait.Buckets[i].Below {
					t.Fatalf("%v is not in bucket %d", got, i)
				}
				return
			}
		}
	})
	if _, known := wait.Percentile(make([]uint64, 4), 50); known {
		t.Error("the median of nothing is known")
	}
}

func TestCounters(t *testing.T) {
	m := readmodel.New(readmodel.Model{Name: "m", Meaning: readmodel.Text{EN: "a", FR: "b"}, Measures: []readmodel.Measure{
		{Name: "answers", Meaning: readmodel.Text{EN: "answers", FR: "réponses"}}, wait}})
	if m.Width() != 5 || m.Offset("wait") != 1 || m.Counters()[4].Name != "wait_ge10" {
		t.Fatalf("%+v", m.Counters())
	}
	if got, want := m.Counters()[2].Meaning, (readmodel.Text{EN: "waits: from 1 up to, not including, 5 s", FR: "attentes : de 1 à moins de 5 s"}); got != want {
		t.Fatalf("%+v", got)
	}
	for what, bad := range map[string]readmodel.Model{
		"a column twice": {Name: "m", Meaning: readmodel.Text{EN: "a", FR: "b"}, Measures: []readmodel.Measure{wait, wait}},
		"no French":      {Name: "m", Meaning: readmodel.Text{EN: "a", FR: "b"}, Dimensions: []readmodel.Dimension{{Name: "bot", Meaning: readmodel.Text{EN: "a"}}}},
		"persons":        {Name: "m", Meaning: readmodel.Text{EN: "a", FR: "b"}, Measures: []readmodel.Measure{readmodel.DistinctPersons}},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s is taken", what)
				}
			}()
			readmodel.New(bad)
		}()
	}
}
