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
	bars := map[eventstore.TenantID]*progress{}
	seen := map[eventstore.TenantID]uint64{}
	found, err := server.CheckVault(e.ctx, server.Config{Server: s, Version: e.version}, func(id eventstore.TenantID, done, of uint64) {
		if bars[id] == nil {
			bars[id] = e.progress(int64(of), "checking "+string(id), false)
		}
		bars[id].Add(int(done - seen[id]))
		if seen[id] = done; done >= of {
			bars[id].Done()
		}
	})
	if err != nil {
		return err
	}
	n := found.Damages()
	if e.JSON {
		err = e.document(map[string]any{"files": found.Files, "tenants": found.Tenants, "damaged": n > 0})
	} else {
		err = e.checked(found, s.NATS != "")
	}
	if err == nil && n > 0 {
		err = exit{Damaged, fmt.Errorf("%d damages were found; nothing was changed. Keep this data directory as it is and bring back a copy of all of it", n)}
	}
	return err
}

// checked prints what was found.
func (e *env) checked(found server.Findings, elsewhere bool) error {
	t := table{head: []string{"TENANT", "PERSONS", "HANDLES", "ERASED", "BEING ERASED", "LEDGER", "COMPARED", "DAMAGE"},
		right: map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true, 6: true, 7: true}}
	for _, c := range found.Tenants {
		t.add(string(c.Tenant), strconv.Itoa(c.Persons), strconv.Itoa(c.Handles), strconv.Itoa(c.Erased), strconv.Itoa(c.Fenced),
			strconv.FormatUint(c.LedgerEntries, 10), strconv.Itoa(c.Compared), strconv.Itoa(len(c.Damage)+c.More))
	}
	if err := t.print(e.out, ""); err != nil {
		return err
	}
	for _, name := range found.Files {
		if _, err := fmt.Fprintf(e.out, "since the last stop: %s\n", clean(name, false)); err != nil {
			return err
		}
	}
	for _, c := range found.Tenants {
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
