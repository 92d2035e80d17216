package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/streams"
)

// errElsewhere: the streams are not below the data directory, so there are no files to copy.
var errElsewhere = fmt.Errorf("%w: the streams stand in another NATS server; a check would have to change them there as a start does", eventstore.ErrUnavailable)

// CheckLog walks every stored message of a stopped server, see [streams.Check]. It changes nothing below the data directory but lock files: the server that
// it reads from works on a copy of nats/ in the directory for temporary files, which must have room for it. progress is told how many messages of all
// are done. Errors as [CheckVault]; ErrUnavailable with an external NATS.
func CheckLog(ctx context.Context, c Config, progress func(done, total uint64)) (out []streams.Checked, err error) {
	if c.NATS != "" {
		return nil, errElsewhere
	}
	s, err := openStopped(ctx, c, false)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if _, err := os.Stat(s.data.in(filepath.Join("log", "index.db"))); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is missing: bring it back, or have it made anew by `oubli log rebuild`", eventstore.ErrDamaged, s.data.in("log"))
	}
	all, err := s.vault.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	over, stop, err := s.copies(ctx, "*_*")
	if err != nil {
		return nil, err
	}
	defer stop()
	if out, err = streams.Check(ctx, over, s.vault.Vault(), all, opener(s.vault), progress); err != nil {
		return nil, err
	}
	for i := range out {
		if lost, err := missing(ctx, s.vault, &out[i]); err != nil {
			return nil, err
		} else if lost != "" {
			out[i].Damage = append(out[i].Damage, lost)
		}
	}
	return out, nil
}

// missing says which streams of a tenant the vault knows and nobody else.
func missing(ctx context.Context, meta eventstore.Meta, c *streams.Checked) (string, error) {
	row, lost := attachmentsRow, "the vault knows the stream BLOB_"+string(c.Tenant)+"; neither log/ nor nats/ does"
	switch {
	case c.New:
		row, lost = wholeRow, "the vault knows this tenant; neither log/ nor nats/ does"
	case c.Attachments:
		return "", nil
	}
	there, err := noted(ctx, meta, c.Tenant, row)
	if err != nil || !there {
		return "", err
	}
	return lost, nil
}

// opener asks the vault of stored messages.
func opener(keys eventstore.Keys) streams.Opener {
	return eventstore.New(eventstore.Config{Keys: keys}).Belongs
}

// noted says whether a tenant's streams, all of them ([wholeRow]) or that of its attachments ([attachmentsRow]), were ever made to the end.
func noted(ctx context.Context, meta eventstore.Meta, id eventstore.TenantID, row string) (bool, error) {
	_, err := meta.Get(ctx, id, tableServer, row)
	if errors.Is(err, eventstore.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
