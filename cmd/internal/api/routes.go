package api

import (
	"net/http"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
)

// Route is one line of the table of what can be reached, and by whom.
type Route struct {
	Method, Path string
	// Roles lists who may use the route; a token needs one of them. The first that it has is the one in the ledger.
	Roles []eventstore.Role
	// Open: everybody (no token), or everybody on the machine itself (others need a role of Roles).
	Open Openness
	// Instance: only tokens of the whole instance.
	Instance bool
	// Body says what may be sent.
	Body BodyKind
}

// Openness says who needs no token.
type Openness int

// Who needs no token.
const (
	Nobody Openness = iota
	OnLoopback
	Everybody
)

// BodyKind says what a route takes.
type BodyKind int

// What a route takes.
const (
	// NoBody: nothing; what is sent nevertheless is not read.
	NoBody BodyKind = iota
	// SmallJSON: one JSON document of at most [eventstore.MaxEvent] bytes.
	SmallJSON
	// OptionalJSON: the same, or nothing at all.
	OptionalJSON
	// Stream: the route checks type and size itself.
	Stream
	// Upload: the same, and a file of up to [eventstore.MaxAttachment] bytes is in it.
	Upload
)

const (
	bot     = eventstore.RoleBot
	analyst = eventstore.RoleAnalyst
	support = eventstore.RoleSupport
	dpo     = eventstore.RoleDPO
	admin   = eventstore.RoleAdmin
)

func roles(r ...eventstore.Role) []eventstore.Role { return r }

// Routes is the whole table. A route that is not in it cannot be reached. The role admin stands with no route that leads to a person.
var Routes = []Route{
	{Method: "POST", Path: "/v1/events", Roles: roles(bot), Body: Stream},
	{Method: "POST", Path: "/v1/import/{format}", Roles: roles(bot), Body: Stream},
	{Method: "POST", Path: "/v1/conversations/read", Roles: roles(bot), Body: SmallJSON},
	{Method: "GET", Path: "/v1/privacy", Roles: roles(bot)},
	{Method: "POST", Path: "/v1/pseudonyms", Roles: roles(bot), Body: SmallJSON},
	{Method: "POST", Path: "/v1/attachments", Roles: roles(bot, support, dpo), Body: Upload},
	{Method: "GET", Path: "/v1/attachments/{id}", Roles: roles(bot, support, dpo)},

	{Method: "POST", Path: "/v1/persons/lookup", Roles: roles(support, dpo), Body: SmallJSON},
	{Method: "POST", Path: "/v1/persons/admit", Roles: roles(support, dpo), Body: SmallJSON},
	{Method: "GET", Path: "/v1/persons/{person}", Roles: roles(support, dpo)},
	{Method: "GET", Path: "/v1/persons/{person}/events", Roles: roles(support, dpo)},
	{Method: "GET", Path: "/v1/persons/{person}/export", Roles: roles(support, dpo)},
	{Method: "POST", Path: "/v1/persons/{person}/erase", Roles: roles(support, dpo), Body: SmallJSON},
	{Method: "POST", Path: "/v1/persons/{person}/restrict", Roles: roles(support, dpo), Body: OptionalJSON},
	{Method: "POST", Path: "/v1/persons/{person}/unrestrict", Roles: roles(support, dpo), Body: OptionalJSON},
	{Method: "POST", Path: "/v1/persons/{person}/object", Roles: roles(support, dpo), Body: OptionalJSON},
	{Method: "POST", Path: "/v1/persons/{person}/unobject", Roles: roles(support, dpo), Body: OptionalJSON},
	{Method: "POST", Path: "/v1/persons/{person}/hold", Roles: roles(support, dpo), Body: OptionalJSON},
	{Method: "POST", Path: "/v1/persons/{person}/unhold", Roles: roles(support, dpo), Body: OptionalJSON},
	{Method: "GET", Path: "/v1/erasures", Roles: roles(support, dpo)},
	{Method: "GET", Path: "/v1/erasures/{id}", Roles: roles(support, dpo)},
	{Method: "GET", Path: "/v1/erasures/{id}/certificate", Roles: roles(support, dpo)},

	{Method: "POST", Path: "/v1/requests", Roles: roles(support, dpo, bot), Body: SmallJSON},
	{Method: "GET", Path: "/v1/requests", Roles: roles(support, dpo)},
	{Method: "GET", Path: "/v1/requests/{id}", Roles: roles(support, dpo)},
	{Method: "POST", Path: "/v1/requests/{id}/decide", Roles: roles(support, dpo), Body: SmallJSON},

	{Method: "GET", Path: "/v1/stats", Roles: roles(analyst)},
	{Method: "GET", Path: "/v1/stats/{projection}", Roles: roles(analyst)},
	{Method: "POST", Path: "/v1/sql", Roles: roles(analyst), Body: SmallJSON},

	{Method: "GET", Path: "/v1/ledger", Roles: roles(dpo)},
	{Method: "GET", Path: "/v1/ledger/checkpoint", Roles: roles(dpo)},
	{Method: "GET", Path: "/v1/ledger/proof/{n}", Roles: roles(dpo)},

	{Method: "GET", Path: "/v1/settings", Roles: roles(admin)},
	{Method: "PUT", Path: "/v1/settings", Roles: roles(admin), Body: SmallJSON},
	{Method: "GET", Path: "/v1/tokens", Roles: roles(admin)},
	{Method: "POST", Path: "/v1/tokens", Roles: roles(admin), Body: SmallJSON},
	{Method: "POST", Path: "/v1/tokens/{id}/rotate", Roles: roles(admin)},
	{Method: "POST", Path: "/v1/tokens/{id}/revoke", Roles: roles(admin)},
	{Method: "GET", Path: "/v1/tenants", Roles: roles(admin)},
	{Method: "POST", Path: "/v1/tenants", Roles: roles(admin), Instance: true, Body: SmallJSON},
	{Method: "POST", Path: "/v1/tenants/{id}/erase", Roles: roles(admin), Instance: true},
	{Method: "GET", Path: "/v1/vault/status", Roles: roles(admin)},
	{Method: "GET", Path: "/v1/vault/expire", Roles: roles(admin)},
	{Method: "POST", Path: "/v1/vault/expire", Roles: roles(admin), Body: SmallJSON},
	{Method: "GET", Path: "/v1/projections/status", Roles: roles(admin)},
	{Method: "POST", Path: "/v1/projections/close", Roles: roles(admin), Body: SmallJSON},
	{Method: "POST", Path: "/v1/projections/rebuild", Roles: roles(admin)},
	{Method: "POST", Path: "/v1/backup", Roles: roles(admin), Instance: true, Body: SmallJSON},

	{Method: "GET", Path: "/healthz", Roles: roles(admin), Open: OnLoopback},
	{Method: "GET", Path: "/readyz", Roles: roles(admin), Open: OnLoopback},
	{Method: "GET", Path: "/metrics", Roles: roles(admin), Open: OnLoopback, Instance: true},
	{Method: "GET", Path: "/openapi.json", Open: Everybody},
}

// pattern is the route as the mux knows it.
func (r *Route) pattern() string { return r.Method + " " + r.Path }

// admits returns the role under which a token may use the route.
func (r *Route) admits(has []eventstore.Role) (eventstore.Role, bool) {
	for _, role := range r.Roles {
		if slices.Contains(has, role) {
			return role, true
		}
	}
	return "", false
}

// forAdmin says whether the route manages a tenant rather than its persons: only there may a token name another tenant.
func (r *Route) forAdmin() bool {
	return len(r.Roles) == 1 && r.Roles[0] == admin && r.Open == Nobody
}

// limit is how large a declared body may be.
func (r *Route) limit() int64 {
	switch r.Body {
	case Stream:
		return MaxBatchBytes
	case Upload:
		return eventstore.MaxAttachment + eventstore.MaxEvent + aroundFile
	}
	return eventstore.MaxEvent
}

// table finds a route by its pattern.
var table = func() map[string]*Route {
	m := make(map[string]*Route, len(Routes))
	for i := range Routes {
		m[Routes[i].pattern()] = &Routes[i]
	}
	return m
}()

// methods are those that a route can have; any other is answered (and logged) alike.
var methods = []string{http.MethodGet, http.MethodPost, http.MethodPut}
