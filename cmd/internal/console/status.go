package console

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ledgerPage is how many entries are aligned together, so that a long ledger needs little memory.
const ledgerPage = 1000

type ledgerListCmd struct {
	From  int `placeholder:"N" help:"First entry (the first of all is 1)."`
	Limit int `placeholder:"N" help:"At most so many."`
}

// Run lists the entries of the ledger as they come.
func (c ledgerListCmd) Run(e *env) error {
	a, err := e.api()
	if err != nil {
		return err
	}
	query := url.Values{}
	for name, n := range map[string]int{"from": c.From, "limit": c.Limit} {
		if n > 0 {
			query.Set(name, strconv.Itoa(n))
		}
	}
	t := table{head: []string{"#", "TIME", "ACT", "BY", "ROLE", "WHY", "RECORDS"}, right: map[int]bool{0: true, 6: true}}
	page := func() error {
		defer func() { t.head, t.rows = nil, t.rows[:0] }()
		return t.print(e.out, "")
	}
	for line, err := range a.lines(e.ctx, "/v1/ledger", query) {
		if err != nil {
			return err
		}
		if e.JSON {
			if err := e.line(line); err != nil {
				return err
			}
			continue
		}
		var x struct {
			Number                                            uint64
			Time                                              time.Time
			Act, Token, Role, Reason, Purpose, Before, Tenant string
			References                                        []string
			Count                                             uint64
		}
		if err := json.Unmarshal(line, &x); err != nil {
			return fmt.Errorf("the server's answer is not Oubli's")
		}
		records := ""
		if n := max(x.Count, uint64(len(x.References))); n > 0 {
			records = fmt.Sprint(n)
		}
		t.add(fmt.Sprint(x.Number), when(x.Time), x.Act, x.Token, x.Role, why(x.Reason, x.Purpose, x.Before, x.Tenant), records)
		if len(t.rows) == ledgerPage {
			if err := page(); err != nil {
				return err
			}
		}
	}
	if e.JSON {
		return nil
	}
	return page()
}

// why is what an entry says beside who and how many: a reason, a purpose of consent, the first month that retention spared, a tenant.
func why(reason, purpose, before, tenant string) string {
	if before != "" {
		before = "before " + before
	}
	return strings.Join(slices.DeleteFunc([]string{reason, purpose, before, tenant}, func(s string) bool { return s == "" }), ", ")
}

type vaultStatusCmd struct{}

// Run shows the vault's status.
func (vaultStatusCmd) Run(e *env) error { return e.status("/v1/vault/status") }

type projectionsStatusCmd struct{}

// Run shows the projections' status.
func (projectionsStatusCmd) Run(e *env) error { return e.status("/v1/projections/status") }

// status prints a flat document.
func (e *env) status(path string) error {
	var doc json.RawMessage
	if err := e.ask("GET", path, nil, &doc); err != nil {
		return err
	}
	return e.members(doc)
}
