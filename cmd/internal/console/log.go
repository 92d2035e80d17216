package console

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/oubli-store/oubli/cmd/internal/server"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/streams"
)

// stoppedFlags say where the parts of a stopped server are.
type stoppedFlags struct {
	KEK   string   `name:"kek" env:"OUBLI_KEK" placeholder:"URI" help:"The key-encryption key (otherwise: the file kek in the data directory)."`
	Roots []string `env:"OUBLI_ROOTS" sep:"none" placeholder:"DIR" help:"Directory of the root register, once for each copy (otherwise: roots in the data directory)."`
	NATS  string   `name:"nats" env:"OUBLI_NATS" placeholder:"URL" help:"The NATS cluster of the server (otherwise: a server inside the process)."`
}

// stoppedServer are the settings of a server that does not run.
func (e *env) stoppedServer() (server.Config, error) {
	s, err := e.serverSettings()
	if err != nil {
		return server.Config{}, err
	}
	return server.Config{Server: s, Log: e.logger(s), Version: e.version}, noCoreDumps()
}

// counting shows how many of all are done.
func (e *env) counting(what string) (tell func(done, total uint64), end func()) {
	var bar *progress
	var shown uint64
	tell = func(done, total uint64) {
		if bar == nil {
			bar = e.progress(int64(total), what, false)
		}
		bar.Add(int(done - shown))
		shown = done
	}
	return tell, func() {
		if bar != nil {
			bar.Done()
		}
	}
}

type logCheckCmd struct{ stoppedFlags }

// Run looks through the log of a stopped server and changes nothing.
func (logCheckCmd) Run(e *env) error {
	c, err := e.stoppedServer()
	if err != nil {
		return err
	}
	tell, end := e.counting("checking")
	all, err := server.CheckLog(e.ctx, c, tell)
	end()
	if err != nil {
		return err
	}
	found := 0
	for _, t := range all {
		found += len(t.Damage)
	}
	if e.JSON {
		err = e.document(map[string]any{"tenants": all, "damaged": found > 0})
	} else {
		err = e.checkedLog(all)
	}
	if err == nil && found > 0 {
		err = exit{Damaged, fmt.Errorf("%d damages were found; nothing was changed. Keep this data directory as it is and bring back a copy of all of it; "+
			"if only log/ is damaged, move it away and run: oubli log rebuild", found)}
	}
	return err
}

func (e *env) checkedLog(all []streams.Checked) error {
	t := table{head: []string{"TENANT", "EVENTS", "ROWS", "REMOVED", "RECORDS", "LAST", "DAMAGE"},
		right: map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true, 6: true}}
	for _, c := range all {
		t.add(string(c.Tenant), decimal(c.Events), decimal(c.Rows), decimal(c.Removed), decimal(c.Records), decimal(c.Last), strconv.Itoa(len(c.Damage)))
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
	return nil
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

type logRebuildCmd struct{ stoppedFlags }

// Run makes log/ of a stopped server anew.
func (logRebuildCmd) Run(e *env) error {
	c, err := e.stoppedServer()
	if err != nil {
		return err
	}
	tell, end := e.counting("rebuilding")
	all, err := server.RebuildLog(e.ctx, c, tell)
	end()
	if errors.Is(err, eventstore.ErrConflict) {
		return fmt.Errorf("%w: mv %s/log %s/log.old, and run the command again; delete log.old once the server serves", err, c.Data, c.Data)
	}
	if err != nil {
		return err
	}
	if e.JSON {
		return e.document(map[string]any{"tenants": all})
	}
	t := table{head: []string{"TENANT", "EVENTS", "ROWS", "MISSING", "RECORDS", "LAST"}, right: map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true}}
	for _, r := range all {
		t.add(string(r.Tenant), decimal(r.Events), decimal(r.Rows), decimal(r.Missing), decimal(r.Records), decimal(r.Last))
	}
	if err := t.print(e.out, ""); err != nil {
		return err
	}
	e.note("log/ was made anew from what is stored. Events that were acknowledged in the last seconds before the server stopped may be missing, and nothing can tell:\n" +
		"a sequence without a message (MISSING) was removed, or is lost. Their senders can send them again; what is there already is found as a duplicate.")
	return nil
}
