package access

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/oubli-store/oubli/eventstore"
)

// Roles lists every role.
func Roles() []eventstore.Role {
	return []eventstore.Role{eventstore.RoleBot, eventstore.RoleAnalyst, eventstore.RoleSupport, eventstore.RoleDPO, eventstore.RoleAdmin}
}

const maxOwner = 256

// check makes a new token of what was asked for. Only fields that may be asked for are kept.
func (a *Tokens) check(tenant eventstore.TenantID, t Token) (Token, error) {
	now := a.now().UTC().Round(0)
	roles := slices.Clone(t.Roles)
	slices.SortFunc(roles, func(r, s eventstore.Role) int { return slices.Index(Roles(), r) - slices.Index(Roles(), s) })
	roles = slices.Compact(roles)
	bot := slices.Contains(roles, eventstore.RoleBot)
	switch {
	case len(roles) == 0 || slices.ContainsFunc(roles, func(r eventstore.Role) bool { return !slices.Contains(Roles(), r) }):
		return Token{}, eventstore.Refuse(eventstore.KindInvalid, "roles", "a token has one or more of the roles bot, analyst, support, dpo, admin")
	case t.Instance && !slices.Contains(roles, eventstore.RoleAdmin):
		return Token{}, eventstore.Refuse(eventstore.KindInvalid, "instance", "only a token with the role admin can be one for the whole instance")
	case t.Bot != "" && (!bot || len(roles) > 1):
		return Token{}, eventstore.Refuse(eventstore.KindInvalid, "bot", "a token that names a bot has the role bot and no other")
	case t.Bot == "" && bot && !t.Instance:
		return Token{}, eventstore.Refuse(eventstore.KindInvalid, "bot", "a token with the role bot must name its bot")
	case !printable(string(t.Bot), eventstore.MaxName):
		return Token{}, eventstore.Refuse(eventstore.KindInvalid, "bot", "a bot's name has at most 256 bytes and no control characters")
	case !printable(t.Owner, maxOwner):
		return Token{}, eventstore.Refuse(eventstore.KindInvalid, "owner", "an owner has at most 256 bytes and no control characters")
	case !t.Expires.IsZero() && !t.Expires.After(now):
		return Token{}, eventstore.Refuse(eventstore.KindInvalid, "expires", "a token must expire in the future")
	}
	return Token{
		Tenant: tenant, Roles: roles, Bot: t.Bot, Owner: t.Owner, Instance: t.Instance, Created: now, Expires: t.Expires,
	}, nil
}

func printable(s string, most int) bool {
	return len(s) <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
