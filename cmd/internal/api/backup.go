package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

// BackupOrder is what a backup is asked for with.
type BackupOrder struct {
	Recipients []string `json:"recipients,omitempty" doc:"Public keys that can open it (age1…, ssh-ed25519 …); left out: those that the server was started with"`
	Expires    string   `json:"expires,omitempty" doc:"How long it may be used, like 60d; default 60d"`
}

// Backups makes backups.
type Backups interface {
	// Backup writes a backup of the whole instance to w. Nothing is written when the order is refused.
	Backup(ctx context.Context, actor rights.Actor, order BackupOrder, w io.Writer) error
}

var errNoBackups = eventstore.Refuse(eventstore.KindUnavailable, "", "this server makes no backups")

func (a *API) registerBackup() {
	op := operation("backup", "POST", "/v1/backup", "Make a backup of the whole instance: one age file, which only its recipients can open")
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{jsonType: {Schema: a.schema(BackupOrder{}, "BackupOrder")}}}
	op.Responses = map[string]*huma.Response{"200": {Description: "The file. One that is cut off ends in an error of the connection, and is no backup.",
		Content: map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: "string", Format: "binary"}}}}}
	a.raw(op, a.backup)
}

func (a *API) backup(w http.ResponseWriter, r *http.Request, c *call) error {
	raw, err := io.ReadAll(io.LimitReader(r.Body, eventstore.MaxEvent+1))
	if err != nil {
		return err
	}
	var order BackupOrder
	if !json.Valid(raw) {
		return errNotJSON
	}
	if err := decode(raw, &order); err != nil {
		return err
	}
	if a.Backups == nil {
		return errNoBackups
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="oubli.age"`)
	return a.Backups.Backup(r.Context(), c.actor(), order, w)
}
