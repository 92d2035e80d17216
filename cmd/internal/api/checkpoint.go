package api

import (
	"context"
	"encoding/hex"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/ledger"
)

// Signer is the part of [ledger.Signer] that the API uses.
type Signer interface {
	Sign(ctx context.Context, tenant eventstore.TenantID, head ledger.Head) ([]byte, error)
	Public(ctx context.Context, tenant eventstore.TenantID) (string, error)
}

// checkpointOutput is a signed checkpoint with the key to check it under.
type checkpointOutput struct {
	Checkpoint string `json:"checkpoint" doc:"A signed note: origin, size, root hash (base64)"`
	Key        string `json:"key" doc:"The public key of the note, as golang.org/x/mod/sumdb/note has it"`
}

// proofOutput says that an entry is in the tree of a checkpoint.
type proofOutput struct {
	Number uint64   `json:"number"`
	Record []byte   `json:"record" doc:"The entry's bytes (base64), of which the leaf's hash is made"`
	Hashes []string `json:"hashes" doc:"The inclusion proof of RFC 6962, in hexadecimal"`
	// Beside them what a checkpoint is: what is embedded is not described.
	Checkpoint string `json:"checkpoint" doc:"A signed note: origin, size, root hash (base64)"`
	Key        string `json:"key" doc:"The public key of the note, as golang.org/x/mod/sumdb/note has it"`
}

type proofInput struct {
	Number uint64 `path:"n" minimum:"1" doc:"An entry's number"`
}

const noteType = "text/plain; charset=utf-8"

func (a *API) registerCheckpoint() {
	op := operation("checkpoint", "GET", "/v1/ledger/checkpoint", "The ledger's signed checkpoint, as a note or with Accept: application/json beside its key")
	op.Responses = map[string]*huma.Response{"200": {Description: "A signed note", Content: map[string]*huma.MediaType{
		"text/plain": {Schema: &huma.Schema{Type: "string"}}, jsonType: {Schema: a.schema(checkpointOutput{}, "Checkpoint")}}}}
	a.raw(op, func(w http.ResponseWriter, r *http.Request, c *call) error {
		head, err := a.Ledger.At(c.tenant, 0)
		if err != nil {
			return err
		}
		out, err := a.sign(r.Context(), c.tenant, head)
		if err != nil {
			return err
		}
		if accepts(r, jsonType) {
			return writeJSON(w, http.StatusOK, out)
		}
		w.Header().Set("Content-Type", noteType)
		w.Header().Set("Content-Length", strconv.Itoa(len(out.Checkpoint)))
		_, err = w.Write([]byte(out.Checkpoint))
		return err
	})
	handle(a, operation("proof", "GET", "/v1/ledger/proof/{n}", "That an entry is in the ledger: its bytes, an inclusion proof, and the signed checkpoint that it leads to"), a.proof)
}

func (a *API) sign(ctx context.Context, tenant eventstore.TenantID, head ledger.Head) (checkpointOutput, error) {
	note, err := a.Signer.Sign(ctx, tenant, head)
	if err != nil {
		return checkpointOutput{}, err
	}
	public, err := a.Signer.Public(ctx, tenant)
	return checkpointOutput{Checkpoint: string(note), Key: public}, err
}

func (a *API) proof(ctx context.Context, c *call, in *proofInput) (*reply[proofOutput], error) {
	hashes, head, err := a.Ledger.ProveInclusion(c.tenant, in.Number, 0)
	if err != nil {
		return nil, err
	}
	out := proofOutput{Number: in.Number, Hashes: []string{}}
	for _, h := range hashes {
		out.Hashes = append(out.Hashes, hex.EncodeToString(h[:]))
	}
	for n, err := range a.Ledger.Entries(ctx, c.tenant, in.Number) {
		if err == nil {
			out.Record, err = ledger.Encode(n.Entry) // an entry has one form
		}
		if err != nil {
			return nil, err
		}
		break
	}
	signed, err := a.sign(ctx, c.tenant, head)
	if err != nil {
		return nil, err
	}
	out.Checkpoint, out.Key = signed.Checkpoint, signed.Key
	return ok(out), nil
}
