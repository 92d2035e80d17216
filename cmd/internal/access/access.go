// Package access decides who may do what: access tokens and roles.
package access

import (
	"context"
	"errors"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/secret"
)

// Token is what is known of an access token; its secret is not.
type Token struct {
	ID       eventstore.TokenID  `json:"id"`
	Tenant   eventstore.TenantID `json:"tenant"`
	Roles    []eventstore.Role   `json:"roles"`
	Bot      eventstore.BotID    `json:"bot,omitempty"`
	Owner    string              `json:"owner,omitempty"`
	Instance bool                `json:"instance,omitempty"`
	Created  time.Time           `json:"created"`
	Expires  time.Time           `json:"expires,omitzero"`
	LastUsed time.Time           `json:"last_used,omitzero"`
	Revoked  time.Time           `json:"revoked,omitzero"`
}

// Tokens keeps the access tokens of every tenant. It is safe for concurrent use.
type Tokens struct {
	meta eventstore.Meta
	now  func() time.Time
}

// New keeps tokens in meta.
func New(meta eventstore.Meta, now func() time.Time) *Tokens { return &Tokens{meta: meta, now: now} }

// Create makes a token from what t asks for (Roles, Bot, Owner, Expires, Instance) and returns it with its text, which is shown once.
func (a *Tokens) Create(ctx context.Context, tenant eventstore.TenantID, t Token) (Token, secret.Bytes, error) {
	return Token{}, secret.Bytes{}, errTODO
}

// Authenticate finds the token of a text. ErrUnauthenticated for one that is malformed, unknown, expired or revoked: which of these is not told.
func (a *Tokens) Authenticate(ctx context.Context, text string) (Token, error) {
	return Token{}, errTODO
}

// List, Rotate (a new secret under the same id; the old one ends) and Revoke. ErrNotFound.
func (a *Tokens) List(ctx context.Context, tenant eventstore.TenantID) ([]Token, error) {
	return nil, errTODO
}

// Rotate gives a token a new secret; the old one ends at once. ErrNotFound.
func (a *Tokens) Rotate(ctx context.Context, tenant eventstore.TenantID, id eventstore.TokenID) (Token, secret.Bytes, error) {
	return Token{}, secret.Bytes{}, errTODO
}

// Revoke ends a token at once. ErrNotFound.
func (a *Tokens) Revoke(ctx context.Context, tenant eventstore.TenantID, id eventstore.TokenID) error {
	return errTODO
}

var errTODO = errors.New("not written yet")
