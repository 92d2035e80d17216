package console

import (
	"fmt"
	"strconv"

	"github.com/oubli-store/oubli/cmd/internal/server"
	"github.com/oubli-store/oubli/eventstore"
)

type vaultCheckCmd struct{}

// Run looks through the vault of a stopped server and changes nothing.
func (vaultCheckCmd) Run(e *env) error {
	s, err := e.serverSettings()
	if err != nil {
		return err
	}
	if err := noCoreDumps(); err != nil {
		return err
	}
	var bar *progress
	all, err := server.CheckVault(e.ctx, server.Config{Server: s, Version: e.version}, func(_ eventstore.TenantID, of int) {
		if bar == nil {
			bar = e.progress(int64(of), "checking", false)
		}
		bar.Add(1)
	})
	if bar != nil {
		bar.Done()
	}
	if err != nil {
		return err
	}
	found := 0
	for _, c := range all {
		found += len(c.Damage)
	}
	if e.JSON {
		err = e.document(map[string]any{"tenants": all, "damaged": found > 0})
	} else {
		err = e.checked(all, s.NATS != "")
	}
	if err == nil && found > 0 {
		err = exit{Damaged, fmt.Errorf("%d damages were found; nothing was changed. Keep this data directory as it is and bring back a copy of all of it", found)}
	}
	return err
}

// checked prints what was found.
func (e *env) checked(all []server.Checked, elsewhere bool) error {
	t := table{head: []string{"TENANT", "PERSONS", "HANDLES", "ERASED", "BEING ERASED", "LEDGER", "COMPARED", "DAMAGE"},
		right: map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true, 6: true, 7: true}}
	for _, c := range all {
		t.add(string(c.Tenant), strconv.Itoa(c.Persons), strconv.Itoa(c.Handles), strconv.Itoa(c.Erased), strconv.Itoa(c.Fenced),
			strconv.FormatUint(c.LedgerEntries, 10), strconv.Itoa(c.Compared), strconv.Itoa(len(c.Damage)))
	}
	if err := t.print(e.out, ""); err != nil {
		return err
	}
	for _, c := range all {
		for _, d := range c.Damage {
			if _, err := fmt.Fprintf(e.out, "%s: %s\n", c.Tenant, clean(d, false)); err != nil {
				return err
			}
		}
	}
	if elsewhere {
		e.note("The ledger stands in another NATS server and was not compared.")
	}
	return nil
}
