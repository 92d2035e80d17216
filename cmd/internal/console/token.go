package console

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/access"
	"github.com/oubli-store/oubli/eventstore"
)

// issued is a token with its text.
type issued struct {
	access.Token
	Text string `json:"token"`
}

type tokenCreateCmd struct {
	Role     []string `required:"" enum:"bot,analyst,support,dpo,admin" placeholder:"ROLE" help:"bot, analyst, support, dpo or admin; can be given more than once."`
	Bot      string   `placeholder:"NAME" help:"The only bot that it speaks for; for the role bot."`
	Owner    string   `placeholder:"NAME" help:"Who answers for it."`
	Expires  string   `placeholder:"DATE" help:"Last day on which it is valid, as 2027-11-30."`
	Instance bool     `help:"It may manage every tenant."`
}

// Run makes a token and prints its text, alone on standard output.
func (c tokenCreateCmd) Run(e *env) error {
	in := map[string]any{"roles": c.Role}
	for name, value := range map[string]string{"bot": c.Bot, "owner": c.Owner} {
		if value != "" {
			in[name] = value
		}
	}
	if c.Instance {
		in["instance"] = true
	}
	if c.Expires != "" {
		day, err := time.ParseInLocation(time.DateOnly, c.Expires, time.Local)
		if err != nil {
			return usage("--expires is a day, as 2027-11-30")
		}
		in["expires"] = day.AddDate(0, 0, 1).UTC()
	}
	return e.issue("/v1/tokens", in)
}

// issue prints a token that is shown this once.
func (e *env) issue(path string, in any) error {
	var t issued
	if err := e.ask("POST", path, in, &t); err != nil {
		return err
	}
	if e.JSON {
		return e.document(t)
	}
	if _, err := fmt.Fprintln(e.out, t.Text); err != nil {
		return err
	}
	e.note("Token %s for tenant %s (%s). It is shown this once: keep it safe.", t.ID, t.Tenant, roleNames(t.Roles))
	return nil
}

type tokenListCmd struct{}

// Run lists the tokens.
func (tokenListCmd) Run(e *env) error {
	var list struct {
		Tokens []access.Token `json:"tokens"`
	}
	if err := e.ask("GET", "/v1/tokens", nil, &list); err != nil {
		return err
	}
	t := table{head: []string{"ID", "ROLES", "BOT", "OWNER", "CREATED", "EXPIRES", "LAST USED", "STATE"}}
	for _, k := range list.Tokens {
		if e.JSON {
			if err := e.line(k); err != nil {
				return err
			}
			continue
		}
		state := "valid"
		switch {
		case !k.Revoked.IsZero():
			state = "revoked"
		case !k.Expires.IsZero() && k.Expires.Before(time.Now()):
			state = "expired"
		}
		t.add(string(k.ID), roleNames(k.Roles), string(k.Bot), k.Owner, when(k.Created), when(k.Expires), when(k.LastUsed), state)
	}
	if e.JSON {
		return nil
	}
	return t.print(e.out, "")
}

func roleNames(roles []eventstore.Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return strings.Join(names, ",")
}

type tokenRotateCmd struct {
	ID string `arg:"" help:"The token's id, as token list prints it."`
}

// Run gives a token a new secret.
func (c tokenRotateCmd) Run(e *env) error {
	return e.issue("/v1/tokens/"+url.PathEscape(c.ID)+"/rotate", nil)
}

type tokenRevokeCmd struct {
	ID string `arg:"" help:"The token's id, as token list prints it."`
}

// Run ends a token.
func (c tokenRevokeCmd) Run(e *env) error {
	var t access.Token
	if err := e.ask("POST", "/v1/tokens/"+url.PathEscape(c.ID)+"/revoke", nil, &t); err != nil {
		return err
	}
	if e.JSON {
		return e.document(t)
	}
	_, err := fmt.Fprintf(e.out, "Token %s is revoked.\n", t.ID)
	return err
}
