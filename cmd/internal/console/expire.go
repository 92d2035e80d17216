package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

type vaultExpireCmd struct {
	Before string `required:"" placeholder:"DATE" help:"A day, such as 2024-11-01: the months that end before it expire. At least 92 days are kept."`
	NoWait bool   `name:"no-wait" help:"Do not wait until it is done; the server goes on."`
}

// expiryPoll is how often the server is asked how far it is.
const expiryPoll = 250 * time.Millisecond

// expiryAnswer is what the server says of a run of retention.
type expiryAnswer struct {
	Before       string               `json:"expired_before"`
	Stages       map[string]time.Time `json:"stages"`
	Keys         uint64               `json:"keys"`
	Spared       int                  `json:"spared"`
	Erased       uint64               `json:"erased"`
	PersonsDone  int                  `json:"persons_done"`
	Persons      int64                `json:"persons"`
	LeftMessages uint64               `json:"left_messages"`
}

// Run lets old events expire and waits until their keys are destroyed, their ciphertexts removed, and the persons erased of whom nothing is left.
func (c vaultExpireCmd) Run(e *env) error {
	a, err := e.api()
	if err != nil {
		return err
	}
	if _, err := time.Parse(time.DateOnly, c.Before); err != nil {
		return usage("--before is a day, written like 2024-11-01")
	}
	var doc json.RawMessage
	if err := a.call(e.ctx, "POST", "/v1/vault/expire", nil, map[string]string{"before": c.Before}, &doc); err != nil {
		return err
	}
	var bar *progress
	for shown := 0; ; {
		var x expiryAnswer
		if err := json.Unmarshal(doc, &x); err != nil {
			return errors.New("the server's answer is not Oubli's")
		}
		_, completed := x.Stages["completed"]
		if bar == nil && x.Persons > 0 {
			bar = e.progress(x.Persons, "persons", false)
			defer bar.Done()
		}
		if bar != nil {
			bar.Add(x.PersonsDone - shown)
			shown = x.PersonsDone
		}
		if completed || c.NoWait || len(x.Stages) == 0 {
			if bar != nil {
				bar.Done()
			}
			return e.expired(doc, x, completed)
		}
		select {
		case <-e.ctx.Done():
			return e.ctx.Err()
		case <-time.After(expiryPoll):
		}
		doc = nil
		if err := a.call(e.ctx, "GET", "/v1/vault/expire", nil, nil, &doc); err != nil {
			return err
		}
	}
}

// expired prints how a run stands.
func (e *env) expired(doc json.RawMessage, x expiryAnswer, completed bool) error {
	if e.JSON {
		return e.document(doc)
	}
	switch {
	case completed:
		_, err := fmt.Fprintf(e.out, "Events from before %s have expired: %d data keys are destroyed, %d persons of whom nothing was left are erased, %d on hold keep theirs.\n",
			clean(x.Before, false), x.Keys, x.Erased, x.Spared)
		return err
	case len(x.Stages) == 0:
		_, err := fmt.Fprintln(e.out, "Nothing has expired: there is nothing that old.")
		return err
	}
	_, err := fmt.Fprintf(e.out, "Events from before %s are expiring; see `oubli vault status`.\n", clean(x.Before, false))
	return err
}
