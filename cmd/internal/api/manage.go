package api

import (
	"context"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/access"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault"
	"github.com/oubli-store/oubli/keyvault/secret"
)

type tokensOutput struct {
	Tokens []access.Token `json:"tokens" doc:"Oldest first, revoked and expired ones too"`
}

type tokenInput struct {
	Body struct {
		Roles    []eventstore.Role `json:"roles" minItems:"1" doc:"bot, analyst, support, dpo, admin"`
		Bot      eventstore.BotID  `json:"bot,omitempty" doc:"The only bot it speaks for; for the role bot"`
		Owner    string            `json:"owner,omitempty" doc:"Who answers for it"`
		Expires  time.Time         `json:"expires,omitzero" required:"false"`
		Instance bool              `json:"instance,omitempty" doc:"May manage every tenant"`
	}
}

// tokenOutput is a token with its text, which is shown this once.
type tokenOutput struct {
	access.Token
	Text string `json:"token" doc:"The text to send; it is shown this once"`
}

type tokenIDInput struct {
	ID string `path:"id" maxLength:"64" doc:"A token's id"`
}

type tenantOutput struct {
	Tenant  eventstore.TenantID `json:"tenant"`
	Persons uint64              `json:"persons"`
}

type tenantsOutput struct {
	Tenants []tenantOutput `json:"tenants"`
}

type tenantInput struct {
	Body struct {
		Tenant string `json:"tenant" doc:"A lower-case letter followed by at most 31 letters, digits or hyphens"`
	}
}

type tenantIDInput struct {
	ID string `path:"id" maxLength:"64" doc:"A tenant's id"`
}

type tenantErasedOutput struct {
	Tenant eventstore.TenantID `json:"tenant"`
	Erased time.Time           `json:"erased"`
}

type vaultOutput struct {
	Vault  string              `json:"vault"`
	Tenant eventstore.TenantID `json:"tenant"`
	keyvault.TenantStatus
	ExpiredBefore string `json:"expired_before,omitempty" required:"false" doc:"The first day of which events can be read; older ones have expired, but for persons on hold"`
	// The schedule of backups, where there is one.
	BackupLast    time.Time `json:"backup_last,omitzero" required:"false" doc:"The newest backup on time"`
	BackupNext    time.Time `json:"backup_next,omitzero" required:"false" doc:"When the next is due"`
	BackupFiles   int       `json:"backup_files,omitempty" required:"false" doc:"Backups that are kept"`
	BackupFailure string    `json:"backup_failure,omitempty" required:"false" doc:"What went wrong since"`
}

func (a *API) registerManagement() {
	a.registerSettings()
	handle(a, operation("tokens", "GET", "/v1/tokens", "All access tokens, without their texts"), a.listTokens)
	create := operation("create-token", "POST", "/v1/tokens", "Make an access token")
	create.DefaultStatus = 201
	handle(a, create, a.createToken)
	handle(a, operation("rotate-token", "POST", "/v1/tokens/{id}/rotate", "Give a token a new text; the old one ends at once"), a.rotateToken)
	handle(a, operation("revoke-token", "POST", "/v1/tokens/{id}/revoke", "End a token at once"), a.revokeToken)
	handle(a, operation("tenants", "GET", "/v1/tenants", "The tenants: all for a token of the instance, else one's own"), a.listTenants)
	create = operation("create-tenant", "POST", "/v1/tenants", "Make a tenant")
	create.DefaultStatus = 201
	handle(a, create, a.createTenant)
	handle(a, operation("erase-tenant", "POST", "/v1/tenants/{id}/erase", "Erase a tenant with everything in it, at once and for good"), a.eraseTenant)
	handle(a, operation("vault-status", "GET", "/v1/vault/status", "The vault"), a.vaultStatus)
	a.registerExpiry()
	a.registerProjections()
}

func (a *API) listTokens(ctx context.Context, c *call, _ *struct{}) (*reply[tokensOutput], error) {
	list, err := a.Tokens.List(ctx, c.tenant)
	if err != nil {
		return nil, err
	}
	return ok(tokensOutput{list}), nil
}

var errInstance = eventstore.Refuse(eventstore.KindForbidden, "instance", "only a token of the whole instance may make another")

func (a *API) createToken(ctx context.Context, c *call, in *tokenInput) (*reply[tokenOutput], error) {
	if in.Body.Instance && !c.token.Instance {
		return nil, errInstance
	}
	if in.Body.Instance && c.tenant != c.token.Tenant {
		return nil, errInstance
	}
	if err := a.record(ctx, c, c.tenant, eventstore.Entry{Act: eventstore.ActTokenCreated}); err != nil {
		return nil, err
	}
	t, text, err := a.Tokens.Create(ctx, c.tenant, access.Token{Roles: in.Body.Roles, Bot: in.Body.Bot, Owner: in.Body.Owner,
		Expires: in.Body.Expires, Instance: in.Body.Instance})
	if err != nil {
		return nil, err
	}
	return &reply[tokenOutput]{Status: 201, Body: shown(t, text)}, nil
}

func shown(t access.Token, text secret.Bytes) tokenOutput {
	defer text.Wipe()
	return tokenOutput{Token: t, Text: string(text.Reveal())}
}

func (a *API) rotateToken(ctx context.Context, c *call, in *tokenIDInput) (*reply[tokenOutput], error) {
	if err := a.record(ctx, c, c.tenant, eventstore.Entry{Act: eventstore.ActTokenRotated, Subject: access.Mark(eventstore.TokenID(in.ID))}); err != nil {
		return nil, err
	}
	t, text, err := a.Tokens.Rotate(ctx, c.tenant, eventstore.TokenID(in.ID))
	if err != nil {
		return nil, err
	}
	return ok(shown(t, text)), nil
}

func (a *API) revokeToken(ctx context.Context, c *call, in *tokenIDInput) (*reply[access.Token], error) {
	if err := a.record(ctx, c, c.tenant, eventstore.Entry{Act: eventstore.ActTokenRevoked, Subject: access.Mark(eventstore.TokenID(in.ID))}); err != nil {
		return nil, err
	}
	id := eventstore.TokenID(in.ID)
	if err := a.Tokens.Revoke(ctx, c.tenant, id); err != nil {
		return nil, err
	}
	list, err := a.Tokens.List(ctx, c.tenant)
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		if t.ID == id {
			return ok(t), nil
		}
	}
	return nil, eventstore.ErrNotFound
}

func (a *API) listTenants(ctx context.Context, c *call, _ *struct{}) (*reply[tenantsOutput], error) {
	list := []eventstore.TenantID{c.tenant}
	if c.token.Instance {
		var err error
		if list, err = a.Tenants.List(ctx); err != nil {
			return nil, err
		}
	}
	out := tenantsOutput{Tenants: []tenantOutput{}}
	for _, t := range list {
		n, err := a.Keys.Count(ctx, t)
		if err != nil {
			return nil, err
		}
		out.Tenants = append(out.Tenants, tenantOutput{t, n})
	}
	return ok(out), nil
}

func (a *API) createTenant(ctx context.Context, c *call, in *tenantInput) (*reply[tenantOutput], error) {
	tenant, err := eventstore.ParseTenantID(in.Body.Tenant)
	if err != nil {
		return nil, err
	}
	if err := a.record(ctx, c, c.token.Tenant, eventstore.Entry{Act: eventstore.ActTenantCreated, Tenant: tenant}); err != nil {
		return nil, err
	}
	if err := a.Tenants.Create(context.WithoutCancel(ctx), tenant); err != nil {
		return nil, err
	}
	return &reply[tenantOutput]{Status: 201, Body: tenantOutput{Tenant: tenant}}, nil
}

var errOwnTenant = eventstore.Refuse(eventstore.KindConflict, "tenant", "the tenant of the acting token itself cannot be erased: it holds the instance's tokens")

func (a *API) eraseTenant(ctx context.Context, c *call, in *tenantIDInput) (*reply[tenantErasedOutput], error) {
	tenant, err := eventstore.ParseTenantID(in.ID)
	if err != nil {
		return nil, err
	}
	if tenant == c.token.Tenant {
		return nil, errOwnTenant
	}
	if err := a.record(ctx, c, c.token.Tenant, eventstore.Entry{Act: eventstore.ActTenantErased, Tenant: tenant}); err != nil {
		return nil, err
	}
	if err := a.Tenants.Erase(context.WithoutCancel(ctx), tenant); err != nil {
		return nil, err
	}
	return ok(tenantErasedOutput{tenant, a.now()}), nil
}

func (a *API) vaultStatus(ctx context.Context, c *call, _ *struct{}) (*reply[vaultOutput], error) {
	if err := a.record(ctx, c, c.tenant, eventstore.Entry{Act: eventstore.ActVaultChecked}); err != nil {
		return nil, err
	}
	tree, err := a.Tree(c.tenant)
	if err != nil {
		return nil, err
	}
	out := vaultOutput{Vault: a.Keys.Vault().String(), Tenant: c.tenant, TenantStatus: tree}
	expired, err := a.Keys.Expired(ctx, c.tenant)
	if err != nil {
		return nil, err
	}
	if expired > 0 {
		out.ExpiredBefore = expired.Start().Format(time.DateOnly)
	}
	if a.BackupStatus != nil {
		s := a.BackupStatus()
		out.BackupLast, out.BackupNext, out.BackupFiles, out.BackupFailure = s.Last, s.Next, s.Files, s.Failure
	}
	return ok(out), nil
}
