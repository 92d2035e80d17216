package api

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oubli-store/oubli/cmd/internal/access"
	"github.com/oubli-store/oubli/cmd/internal/backup"
	"github.com/oubli-store/oubli/cmd/internal/settings"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/ledger"
	"github.com/oubli-store/oubli/eventstore/rights"
	"github.com/oubli-store/oubli/keyvault"
	"github.com/oubli-store/oubli/keyvault/secret"
	"github.com/oubli-store/oubli/projections"
)

// Config wires the API to the rooms. Every field is required unless it says otherwise; all must be safe for concurrent use.
type Config struct {
	Store  Store
	Door   eventstore.Door
	Keys   Keys
	Tokens Tokens
	Rights Rights
	// Attachments are files in and out (nil: there are none).
	Attachments Attachments
	Stats       Stats
	Ledger      Ledger
	Signer      Signer
	Settings    Settings
	Tenants     Tenants
	// Tree says how large a tenant's key tree is.
	Tree func(eventstore.TenantID) (keyvault.TenantStatus, error)
	// Backups makes backups (nil: there are none).
	Backups Backups
	// BackupStatus says how the schedule of backups does (nil: there is none).
	BackupStatus func() backup.Status
	// Ready lists what keeps the server from serving; none: it is ready.
	Ready func(context.Context) []Reason
	// Notes lists what an operator should look at although the server serves (nil: nothing).
	Notes func(context.Context) []Reason
	// Log takes one line for each request and each unexpected error, without personal data.
	Log *slog.Logger
	// Now is the clock (nil: time.Now).
	Now func() time.Time
	// Registry takes the API's metrics and is what /metrics shows (nil: a fresh one).
	Registry *prometheus.Registry
	// Version is told by /openapi.json.
	Version string
	// Batches bounds how many NDJSON and import requests run at a time (0: 8).
	Batches int
	// Patience is how long a body may take for each further 4 KiB, and a write of the answer (0: 30 s).
	Patience time.Duration
}

// Store is the part of [eventstore.Store] that the API uses; see [Over].
type Store interface {
	Submit(ctx context.Context, caller eventstore.Caller, e eventstore.Event) (Waiter, error)
	Read(ctx context.Context, tenant eventstore.TenantID, person eventstore.PersonID, o eventstore.ReadOptions) iter.Seq2[eventstore.Recorded, error]
}

// Waiter is the part of [eventstore.Pending] that the API uses.
type Waiter interface {
	Wait(ctx context.Context) (eventstore.Receipt, error)
}

// Over gives the API a store.
func Over(s *eventstore.Store) Store { return over{s} }

type over struct{ *eventstore.Store }

// Submit implements [Store].
func (o over) Submit(ctx context.Context, caller eventstore.Caller, e eventstore.Event) (Waiter, error) {
	p, err := o.Store.Submit(ctx, caller, e)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Keys is the part of [eventstore.Keys] that the API uses.
type Keys interface {
	Vault() eventstore.VaultID
	Resolve(ctx context.Context, tenant eventstore.TenantID, id eventstore.Identity) (eventstore.PersonID, error)
	Linked(ctx context.Context, tenant eventstore.TenantID, person eventstore.PersonID) ([]eventstore.PersonRecord, error)
	Gate(ctx context.Context, tenant eventstore.TenantID, person eventstore.PersonID) (eventstore.Gate, error)
	Count(ctx context.Context, tenant eventstore.TenantID) (uint64, error)
	Expired(ctx context.Context, tenant eventstore.TenantID) (eventstore.KeyMonth, error)
}

// Settings is [settings.Tenants].
type Settings interface {
	Get(ctx context.Context, tenant eventstore.TenantID) (settings.Tenant, error)
	Put(ctx context.Context, tenant eventstore.TenantID, values map[string]string) error
}

// Tokens is [access.Tokens].
type Tokens interface {
	Authenticate(ctx context.Context, text string) (access.Token, error)
	Create(ctx context.Context, tenant eventstore.TenantID, t access.Token) (access.Token, secret.Bytes, error)
	List(ctx context.Context, tenant eventstore.TenantID) ([]access.Token, error)
	Rotate(ctx context.Context, tenant eventstore.TenantID, id eventstore.TokenID) (access.Token, secret.Bytes, error)
	Revoke(ctx context.Context, tenant eventstore.TenantID, id eventstore.TokenID) error
}

// Rights is the part of [rights.Service] that the API uses. It records what it does in the ledger.
type Rights interface {
	Register
	EraseOrWait(ctx context.Context, tenant eventstore.TenantID, actor rights.Actor, person eventstore.PersonID, r rights.Request) (rights.Erasure, error)
	Preview(ctx context.Context, tenant eventstore.TenantID, actor rights.Actor, person eventstore.PersonID, scope eventstore.Scope) (rights.Preview, error)
	Lookup(ctx context.Context, tenant eventstore.TenantID, actor rights.Actor, ids []eventstore.Identity) ([]rights.Person, error)
	Show(ctx context.Context, tenant eventstore.TenantID, actor rights.Actor, person eventstore.PersonID) (rights.Person, error)
	Transcript(ctx context.Context, tenant eventstore.TenantID, actor rights.Actor, person eventstore.PersonID, o eventstore.ReadOptions) (rights.Transcript, error)
	OpenCopy(ctx context.Context, tenant eventstore.TenantID, actor rights.Actor, person eventstore.PersonID) (*rights.Copy, error)
	Erasures(ctx context.Context, tenant eventstore.TenantID) ([]rights.Erasure, error)
	ByTicket(ctx context.Context, tenant eventstore.TenantID, ticket string) ([]rights.Erasure, error)
	Admit(ctx context.Context, tenant eventstore.TenantID, actor rights.Actor, ids []eventstore.Identity, reason eventstore.Reason) (rights.Admitted, error)
	Set(ctx context.Context, tenant eventstore.TenantID, actor rights.Actor, person eventstore.PersonID, c rights.Change, reason eventstore.Reason) (rights.Standing, error)
	Erasure(ctx context.Context, tenant eventstore.TenantID, id string) (rights.Erasure, error)
	Certificate(ctx context.Context, tenant eventstore.TenantID, id string) ([]byte, error)
	Expire(ctx context.Context, tenant eventstore.TenantID, actor rights.Actor, before eventstore.KeyMonth) (rights.Expiry, error)
	Expiry(ctx context.Context, tenant eventstore.TenantID) (rights.Expiry, error)
}

// Stats is the part of [projections.Projections] that the API uses.
type Stats interface {
	Dictionary(ctx context.Context, tenant eventstore.TenantID) (projections.Dictionary, error)
	Stats(ctx context.Context, tenant eventstore.TenantID, q projections.Query) (projections.Answer, error)
	SQL(ctx context.Context, tenant eventstore.TenantID, query string) (projections.Result, error)
	Status(ctx context.Context, tenant eventstore.TenantID) (projections.Status, error)
	CloseBefore(ctx context.Context, tenant eventstore.TenantID, day time.Time) error
	Rebuild(ctx context.Context, tenant eventstore.TenantID) error
}

// Ledger is the part of [ledger.Ledger] that the API uses.
type Ledger interface {
	eventstore.Ledger
	Entries(ctx context.Context, tenant eventstore.TenantID, from uint64) iter.Seq2[ledger.Numbered, error]
	At(tenant eventstore.TenantID, size uint64) (ledger.Head, error)
	ProveInclusion(tenant eventstore.TenantID, n, size uint64) (ledger.Proof, ledger.Head, error)
}

// Tenants is what the running server does with tenants.
type Tenants interface {
	// List lists the tenants that are served, in ascending order.
	List(ctx context.Context) ([]eventstore.TenantID, error)
	// Create makes a tenant and serves it. ErrConflict if there is one.
	Create(ctx context.Context, tenant eventstore.TenantID) error
	// Erase effaces everything of a tenant. Repeatable. ErrNotFound.
	Erase(ctx context.Context, tenant eventstore.TenantID) error
}

// Reason is one thing that keeps the server from serving. Both texts are the program's own.
type Reason struct {
	Part string `json:"part"`
	Why  string `json:"why"`
}

const (
	defaultBatches  = 8
	defaultPatience = 30 * time.Second
)

func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	if c.Batches == 0 {
		c.Batches = defaultBatches
	}
	if c.Patience == 0 {
		c.Patience = defaultPatience
	}
	if c.Version == "" {
		c.Version = "dev"
	}
	return c
}
