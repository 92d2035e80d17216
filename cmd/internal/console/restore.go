package console

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/backup"
	"github.com/oubli-store/oubli/cmd/internal/server"
	"github.com/oubli-store/oubli/eventstore"
)

type restoreCmd struct {
	stoppedFlags
	Backup           string `arg:"" placeholder:"BACKUP" help:"The backup; - is standard input."`
	Identity         string `required:"" placeholder:"FILE" help:"The identity that opens it: what age-keygen wrote, or an SSH key."`
	Checkpoint       string `env:"OUBLI_CHECKPOINT" placeholder:"FILE|URL" help:"The checkpoint that the server kept outside, with its ledger: it says what happened after the backup."`
	LedgerFrom       string `name:"ledger-from" placeholder:"DIR" help:"A data directory that survived, with its nats/ and log/: its ledger says what happened after the backup."`
	AcceptLostLedger bool   `name:"accept-lost-ledger" help:"Go on although nobody knows what happened after the backup."`
}

// Run makes a data directory of a backup.
func (c restoreCmd) Run(e *env) error {
	conf, err := e.stoppedServer()
	if err != nil {
		return err
	}
	ids, err := c.identities()
	if err != nil {
		return err
	}
	in := io.ReadCloser(io.NopCloser(e.in))
	if c.Backup != "-" {
		if in, err = os.Open(c.Backup); err != nil {
			return err
		}
	}
	defer in.Close()
	order := server.RestoreOrder{Backup: in, Identities: ids, AcceptLost: c.AcceptLostLedger, Newest: c.newest(conf)}
	if c.AcceptLostLedger {
		e.note("%s", lostLedger)
	}
	tell, end := e.parts()
	order.Progress = tell
	out, err := server.Restore(e.ctx, conf, order)
	end()
	if err != nil {
		return err
	}
	if e.JSON {
		return e.document(out)
	}
	return e.restored(out)
}

const lostLedger = `The newest ledger is taken to be lost. What cannot be known then:
  - who was erased after the backup: they are back, with all that they said;
  - who was restricted, objected or withdrew consent after the backup: it has no effect any more;
  - what retention had destroyed after the backup: it is back until retention runs again;
  - which access tokens were ended after the backup: all of them end now.
The ledger of each tenant records that this was accepted. Ask whoever received requests since the backup, and carry them out again.`

func (c restoreCmd) identities() (backup.Identities, error) {
	f, err := os.Open(c.Identity)
	if err != nil {
		return backup.Identities{}, err
	}
	defer f.Close()
	return backup.ReadIdentities(f)
}

// newest says where the newest ledgers are.
func (c restoreCmd) newest(conf server.Config) func(context.Context, eventstore.VaultID) (server.Ledgers, func(), error) {
	if c.LedgerFrom == "" && c.Checkpoint == "" {
		return nil
	}
	return func(ctx context.Context, vault eventstore.VaultID) (server.Ledgers, func(), error) {
		var survived *server.Surviving
		end := func() {}
		if c.LedgerFrom != "" {
			var err error
			if survived, err = server.OpenSurviving(ctx, conf, c.LedgerFrom, vault); err != nil {
				return nil, nil, err
			}
			end = survived.Close
		}
		if c.Checkpoint == "" {
			return survived, end, nil
		}
		outside, err := server.OpenOutside(ctx, c.Checkpoint, vault, survived)
		if err != nil {
			end()
			return nil, nil, err
		}
		return outside, end, nil
	}
}

// parts shows one bar after the other.
func (e *env) parts() (tell func(part string, done uint64), end func()) {
	var bar *progress
	var name string
	var shown uint64
	end = func() {
		if bar != nil {
			bar.Done()
		}
	}
	tell = func(part string, done uint64) {
		if bar == nil || part != name || done < shown {
			end()
			bar, name, shown = e.progress(-1, part, false), part, 0
		}
		bar.Add(int(done - shown))
		shown = done
	}
	return tell, end
}

// restored prints what was done.
func (e *env) restored(out server.Restored) error {
	fmt.Fprintf(e.out, "Restored from the backup of %s (it expires on %s).\n\n", when(out.Made), out.Expires.Format(time.DateOnly))
	t := table{head: []string{"TENANT", "PERSONS", "EVENTS", "LEDGER", "SINCE", "ERASED AGAIN", "STATES AGAIN", "TOKENS ENDED"},
		right: map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true, 6: true, 7: true}}
	n := func(v uint64) string { return strconv.FormatUint(v, 10) }
	for _, r := range out.Tenants {
		t.add(string(r.Tenant), n(r.Persons), n(r.Events), n(r.Entries), n(r.Since), n(r.Again.Erased), n(r.Again.States), strconv.Itoa(r.Revoked))
	}
	if err := t.print(e.out, ""); err != nil {
		return err
	}
	for _, r := range out.Tenants {
		if r.Again.Whole > 0 {
			fmt.Fprintf(e.out, "%s: of %d persons a part was erased after the backup; they are erased wholly now, because the backup holds that part too.\n", r.Tenant, r.Again.Whole)
		}
	}
	for _, r := range out.Tenants {
		if r.Again.RefusalsLost > 0 {
			fmt.Fprintf(e.out, "%s: %d longer refusals of handles (person erase --refuse-for) could not be brought back: these persons came after the backup, so nobody knows their handles. If they are named again, they are new persons.\n", r.Tenant, r.Again.RefusalsLost)
		}
	}
	for _, id := range out.ErasedTenants {
		fmt.Fprintf(e.out, "The tenant %s was erased after the backup, and again now.\n", id)
	}
	for _, id := range out.LostTenants {
		fmt.Fprintf(e.out, "The tenant %s was made after the backup and is lost.\n", id)
	}
	_, err := fmt.Fprintf(e.out, "\nEverything after the backup that the ledger does not say is lost. A new access token of the instance is in %s.\nStart with: oubli serve --data …\n", clean(out.AdminToken, false))
	return err
}
