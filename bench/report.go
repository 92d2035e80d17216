package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// figure is one measured value, with the peer it is compared with, if any.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Peer  string  `json:"peer,omitempty"`
	Ratio float64 `json:"ratio,omitempty"`
	// Target is what the figure, or its ratio, is meant to be.
	Target string `json:"target,omitempty"`
}

// report prints figures as they come.
type report struct {
	json  *json.Encoder
	table *tabwriter.Writer
}

func newReport(w io.Writer, asJSON bool) *report {
	if asJSON {
		return &report{json: json.NewEncoder(w)}
	}
	return &report{table: tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)}
}

func (r *report) machine() {
	m := map[string]any{"go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH, "cores": runtime.GOMAXPROCS(0), "cpu": cpuName()}
	if r.json != nil {
		_ = r.json.Encode(m)
		return
	}
	fmt.Fprintf(r.table, "%v, %v cores, %v\n\nFIGURE\tVALUE\tUNIT\tRATIO\tTO\tTARGET\n", m["cpu"], m["cores"], m["go"])
}

func cpuName() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.Trim(name, " \t:\n")
		}
	}
	return "unknown"
}

func (r *report) add(f figure) {
	if r.json != nil {
		_ = r.json.Encode(f)
		return
	}
	ratio := ""
	if f.Peer != "" {
		ratio = strconv.FormatFloat(f.Ratio, 'f', 2, 64) + " ×"
	}
	fmt.Fprintf(r.table, "%s\t%s\t%s\t%s\t%s\t%s\n", f.Name, short(f.Value), f.Unit, ratio, f.Peer, f.Target)
	_ = r.table.Flush()
}

// note tells people something; programs see the figure that is not there.
func (r *report) note(text string) {
	if r.table != nil {
		fmt.Fprintln(r.table, text)
		_ = r.table.Flush()
	}
}

// compare adds a figure once for each peer, with its ratio to it.
func (r *report) compare(f figure, peers ...figure) {
	if len(peers) == 0 {
		r.add(f)
	}
	for _, p := range peers {
		f.Peer, f.Ratio = p.Name, f.Value/p.Value
		r.add(f)
	}
}

func (r *report) close() error {
	if r.table != nil {
		return r.table.Flush()
	}
	return nil
}

func short(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// median runs f as often as asked and returns the median of its results.
func median(rounds int, f func(round int) (float64, error)) (float64, error) {
	values := make([]float64, 0, rounds)
	for round := range rounds {
		v, err := f(round)
		if err != nil {
			return 0, err
		}
		values = append(values, v)
	}
	return middle(values), nil
}

// middle is the median of values, which it sorts.
func middle(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// perSecond is how many of n happened in a second.
func perSecond(n int, took time.Duration) float64 { return float64(n) / took.Seconds() }

// percentile reads a quantile from sorted durations, in milliseconds.
func percentile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]) / float64(time.Millisecond)
}
