package console

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/oubli-store/oubli/cmd/internal/backup"
)

type backupCmd struct {
	Recipient      []string `placeholder:"KEY" help:"Who can open the backup: a public key of age (age1…) or SSH. May be given several times. Otherwise: those that the server was started with."`
	RecipientsFile string   `name:"recipients-file" placeholder:"FILE" help:"A file with such keys, one a line."`
	Expires        string   `placeholder:"PERIOD" help:"How long the backup may be used, like 60d (otherwise: as long as the server keeps its own, or 60d)."`
	Output         string   `short:"o" required:"" placeholder:"FILE" help:"Where to write it; - is standard output."`
}

// Run asks the server for a backup and writes it as it comes. A file that is not whole is not left under the name.
func (c backupCmd) Run(e *env) error {
	order, err := c.order()
	if err != nil {
		return err
	}
	if c.Output == "-" {
		if isTerminal(e.out) {
			return usage("a backup is no text: name a file with --output, or send standard output somewhere")
		}
		_, err := c.fetch(e, order, e.out)
		return err
	}
	if _, err := os.Lstat(c.Output); err == nil {
		return usage("the file of --output is there already; name another")
	}
	f, err := os.CreateTemp(filepath.Dir(c.Output), "."+filepath.Base(c.Output)+".part-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	n, err := c.fetch(e, order, f)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), c.Output); err != nil { // unlike a rename it fails if the name is there
		return err
	}
	d, err := os.Open(filepath.Dir(c.Output))
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return err
	}
	if e.JSON {
		return e.document(map[string]any{"file": c.Output, "bytes": n})
	}
	_, err = fmt.Fprintf(e.out, "Written: %s (%d bytes)\n", clean(c.Output, false), n)
	return err
}

// backupOrder is the body of the request.
type backupOrder struct {
	Recipients []string `json:"recipients,omitempty"`
	Expires    string   `json:"expires,omitempty"`
}

// order reads the keys, so that one that is none is found before anything is asked.
func (c backupCmd) order() (backupOrder, error) {
	to, err := backup.ParseRecipients(c.Recipient)
	if err != nil {
		return backupOrder{}, usage("--recipient: " + err.Error())
	}
	if c.RecipientsFile != "" {
		f, err := os.Open(c.RecipientsFile)
		if err != nil {
			return backupOrder{}, err
		}
		defer f.Close()
		more, err := backup.ReadRecipients(f)
		if err != nil {
			return backupOrder{}, usage("--recipients-file: " + err.Error())
		}
		to = append(to, more...)
	}
	order := backupOrder{Expires: c.Expires}
	for _, r := range to {
		order.Recipients = append(order.Recipients, r.String())
	}
	return order, nil
}

func (c backupCmd) fetch(e *env, order backupOrder, w io.Writer) (int64, error) {
	a, err := e.api()
	if err != nil {
		return 0, err
	}
	resp, err := a.do(e.ctx, "POST", "/v1/backup", nil, "application/octet-stream", order)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	bar := e.progress(-1, "backup", true)
	defer bar.Done()
	n, err := io.Copy(w, io.TeeReader(resp.Body, barWriter{bar}))
	if err != nil {
		return n, fmt.Errorf("the server broke off; the backup is not whole: %w", unreachable{a.base, err})
	}
	return n, nil
}

// barWriter moves a bar by what is written.
type barWriter struct{ bar *progress }

// Write implements [io.Writer].
func (b barWriter) Write(p []byte) (int, error) {
	b.bar.Add(len(p))
	return len(p), nil
}
