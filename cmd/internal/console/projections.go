package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

type projectionsCloseCmd struct {
	Before string `required:"" placeholder:"DATE" help:"A day, such as 2026-11-01, no later than today."`
}

// projectionsAnswer is what the server says of projections.
type projectionsAnswer struct {
	Committed    int64  `json:"committed"`
	ClosedDays   int    `json:"closed_days"`
	ClosedWeeks  int    `json:"closed_weeks"`
	ClosedMonths int    `json:"closed_months"`
	Rebuild      bool   `json:"rebuild"`
	Rebuilding   uint64 `json:"rebuilding"`
}

// Run closes periods and says how many are closed now.
func (c projectionsCloseCmd) Run(e *env) error {
	if _, err := time.Parse(time.DateOnly, c.Before); err != nil {
		return usage("--before is a day, written like 2026-11-01")
	}
	var doc json.RawMessage
	if err := e.ask("POST", "/v1/projections/close", map[string]string{"before": c.Before}, &doc); err != nil {
		return err
	}
	if e.JSON {
		return e.document(doc)
	}
	var x projectionsAnswer
	if err := json.Unmarshal(doc, &x); err != nil {
		return errors.New("the server's answer is not Oubli's")
	}
	_, err := fmt.Fprintf(e.out, "Closed: %d days, %d weeks and %d months are published and final.\n", x.ClosedDays, x.ClosedWeeks, x.ClosedMonths)
	return err
}

type projectionsRebuildCmd struct {
	NoWait bool `name:"no-wait" help:"Do not wait until it is done; the server goes on."`
}

// rebuildPoll is how often the server is asked how far it is.
const rebuildPoll = 200 * time.Millisecond

// Run has the figures made anew, and waits until they are in use.
func (c projectionsRebuildCmd) Run(e *env) error {
	a, err := e.api()
	if err != nil {
		return err
	}
	var doc json.RawMessage
	if err := a.call(e.ctx, "POST", "/v1/projections/rebuild", nil, nil, &doc); err != nil {
		return err
	}
	var bar *progress
	for shown := uint64(0); ; {
		var x projectionsAnswer
		if err := json.Unmarshal(doc, &x); err != nil {
			return errors.New("the server's answer is not Oubli's")
		}
		if bar == nil && x.Rebuild {
			bar = e.progress(x.Committed, "events", false)
			defer bar.Done()
		}
		if bar != nil && x.Rebuilding > shown {
			bar.Add(int(x.Rebuilding - shown))
			shown = x.Rebuilding
		}
		if !x.Rebuild || c.NoWait {
			if e.JSON {
				return e.document(doc)
			}
			word := "The figures were made anew.\n"
			if x.Rebuild {
				word = "The figures are being made anew; see `oubli projections status`.\n"
			}
			_, err := fmt.Fprint(e.out, word)
			return err
		}
		select {
		case <-e.ctx.Done():
			return e.ctx.Err()
		case <-time.After(rebuildPoll):
		}
		doc = nil
		if err := a.call(e.ctx, "GET", "/v1/projections/status", nil, nil, &doc); err != nil {
			return err
		}
	}
}
