package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestEveryWorkload runs each workload small: it gives figures above zero, as JSON lines, each ratio with its peer.
func TestEveryWorkload(t *testing.T) {
	for _, w := range workloads {
		t.Run(w.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := run([]string{"-run", w.name, "-persons", "20", "-events", "200", "-rounds", "1", "-json"}, &out); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			var machine map[string]any
			if err := json.Unmarshal([]byte(lines[0]), &machine); err != nil || machine["cores"] == nil {
				t.Errorf("the machine is not described: %s", lines[0])
			}
			if len(lines) < 2 {
				t.Error("there are no figures")
			}
			for _, line := range lines[1:] {
				var f figure
				if err := json.Unmarshal([]byte(line), &f); err != nil {
					t.Fatal(err)
				}
				if f.Value <= 0 || f.Unit == "" || (f.Peer == "") != (f.Ratio == 0) {
					t.Errorf("%s", line)
				}
			}
		})
	}
}

func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{{"-run", "nothing"}, {"-events", "0"}, {"-rounds", "-1"}, {"more"}, {"-persons", "x"}, {"-sizes", "10,x"}, {"-sizes", "1000,1100"}} {
		if err := run(args, &bytes.Buffer{}); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
}

func TestReport(t *testing.T) {
	var out bytes.Buffer
	r := newReport(&out, false)
	r.machine()
	r.compare(figure{Name: "a", Value: 30, Unit: "x/s"}, figure{Name: "p", Value: 10}, figure{Name: "q", Value: 60})
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"3.00 ×", "0.50 ×"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if got := percentile([]time.Duration{1, 2, 3, 4 * time.Millisecond}, 0.99); got != 4 {
		t.Errorf("p99 is %v, want 4", got)
	}
	n := 0
	if m, err := median(3, func(int) (float64, error) { n++; return float64(10 - n), nil }); err != nil || m != 8 {
		t.Errorf("median %v, %v", m, err)
	}
}
