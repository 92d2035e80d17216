package console

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/oubli-store/oubli/cmd/internal/offline"
	"github.com/oubli-store/oubli/cmd/internal/server"
	"github.com/oubli-store/oubli/cmd/internal/settings"
	"github.com/oubli-store/oubli/eventstore"
)

type vaultRotateKEKCmd struct {
	NewKEK string   `name:"new-kek" required:"" placeholder:"URI" help:"The new key-encryption key: file:///PATH, hcvault://HOST/MOUNT/keys/NAME or aws-kms://ARN."`
	KEK    string   `name:"kek" env:"OUBLI_KEK" placeholder:"URI" help:"The present key-encryption key (otherwise: the file kek in the data directory)."`
	Roots  []string `env:"OUBLI_ROOTS" sep:"none" placeholder:"DIR" help:"Directory of the root register, once for each copy (otherwise: roots in the data directory)."`
	NATS   string   `name:"nats" env:"OUBLI_NATS" placeholder:"URL" help:"The NATS cluster of the server, which has the ledger (otherwise: a server inside the process)."`
}

// Run wraps the register key of a stopped server with another key-encryption key.
func (c vaultRotateKEKCmd) Run(e *env) (err error) {
	s, err := e.serverSettings()
	if err != nil {
		return err
	}
	if !settings.IsKEK(c.NewKEK) {
		return usage("--new-kek must be a URI file:///PATH, hcvault://HOST[:PORT]/MOUNT/keys/NAME or aws-kms://ARN, without credentials")
	}
	if s.Production && strings.HasPrefix(c.NewKEK, "file:") {
		return usage("--new-kek: in production the key-encryption key must be in a KMS, not in a local file")
	}
	if err := noCoreDumps(); err != nil {
		return err
	}
	rooms, err := offline.Open(e.ctx, server.Config{Server: s, Log: e.logger(s), Version: e.version})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), stopWithin)
		defer cancel()
		err = errors.Join(err, rooms.Close(ctx))
	}()
	var entry uint64
	err = rooms.Vault.RotateKEK(e.ctx, c.NewKEK, func() (err error) {
		entry, err = rooms.Record(e.ctx, eventstore.ActKEKRotated)
		return err
	})
	if err != nil && entry > 0 {
		return fmt.Errorf("%w; either the old key-encryption key opens the vault or the new one does: run the command again, or start with the one and then the other", err)
	}
	if err != nil {
		return fmt.Errorf("%w; the vault is as it was", err)
	}
	if e.JSON {
		return e.document(map[string]any{"kek": c.NewKEK, "ledger_entry": entry})
	}
	_, err = fmt.Fprintf(e.out, "The vault opens with the new key-encryption key, and no longer with the old one (entry %d of the ledger).\nStart with: --kek %s\n",
		entry, clean(c.NewKEK, false))
	return err
}
