package api

import (
	"context"
	"fmt"
	"mime"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/oubli-store/oubli/cmd/internal/access"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

// API answers requests. It implements [http.Handler] and is safe for concurrent use.
type API struct {
	Config
	mux     *http.ServeMux
	huma    huma.API
	batches chan struct{}
	// incoming and outgoing are the places of files on their way.
	incoming, outgoing chan struct{}
	// answers are the places of tables on their way.
	answers chan struct{}
	metrics *metrics
	openapi []byte
}

// call is one authorised request.
type call struct {
	route *Route
	token access.Token
	// role is the role under which the token uses the route.
	role eventstore.Role
	// tenant is the tenant acted upon: the token's own, or the one that an instance's token names.
	tenant eventstore.TenantID
	// old: events of months that are kept no more are taken.
	old bool
}

func (c *call) caller() eventstore.Caller {
	return eventstore.Caller{Tenant: c.tenant, Token: c.token.ID, Bot: c.token.Bot, KeepOld: c.old}
}

func (c *call) actor() rights.Actor { return rights.Actor{Token: c.token.ID, Role: c.role} }

type callKey struct{}

// callOf is the authorised request that ctx belongs to. Handlers are only ever reached with one.
func callOf(ctx context.Context) *call {
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok {
		panic("api: a handler was reached without authorisation")
	}
	return c
}

// New makes the API.
func New(c Config) *API {
	a := &API{Config: c.withDefaults(), mux: http.NewServeMux()}
	a.batches = make(chan struct{}, a.Batches)
	a.incoming, a.outgoing = make(chan struct{}, maxTransfers), make(chan struct{}, maxTransfers)
	a.answers = make(chan struct{}, tablesAtOnce)
	a.metrics = newMetrics(a.Registry)
	a.huma = humago.New(a.mux, humaConfig(a.Version))
	a.registerEvents()
	a.registerConversations()
	a.registerPseudonyms()
	a.registerAttachments()
	a.registerPersons()
	a.registerStats()
	a.registerSQL()
	a.registerLedger()
	a.registerCheckpoint()
	a.registerStates()
	a.registerRequests()
	a.registerManagement()
	a.registerBackup()
	a.registerHealth()
	a.openapi = document(a.huma)
	return a
}

// ServeHTTP implements [http.Handler]: it routes, authorises, and gives what goes wrong its shape.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := a.Now()
	out := &writer{ResponseWriter: w, control: http.NewResponseController(w), patience: a.Patience}
	c := &call{}
	defer func() {
		broken := false
		if v := recover(); v != nil {
			broken = a.recovered(out, r, c, v)
		}
		a.finish(out, r, c, a.Now().Sub(start))
		if broken {
			panic(http.ErrAbortHandler)
		}
	}()
	out.Header().Set("Cache-Control", "no-store")
	out.Header().Set("X-Content-Type-Options", "nosniff")
	out.control.SetWriteDeadline(time.Time{}) // the last answer's on this connection
	sent := newBody(r, out.control, a.Patience)
	r.Body = sent
	defer sent.drain(out, r)
	if err := a.admit(out, r, c); err != nil {
		a.fail(out, r, c, err)
		return
	}
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	a.mux.ServeHTTP(out, r)
}

// admit lets a request in: its route is in the table, its token may use it, its body may be what it says it is.
func (a *API) admit(w http.ResponseWriter, r *http.Request, c *call) error {
	var err error
	if c.route, err = a.match(w, r); err != nil {
		return err
	}
	if err := a.authorise(r, c); err != nil {
		return err
	}
	if r.ContentLength > c.route.limit() {
		return errBodySize
	}
	if r.Header.Get("Content-Encoding") != "" {
		return errMediaType
	}
	if c.route.Body == OptionalJSON && r.ContentLength == 0 {
		return nil
	}
	if (c.route.Body == SmallJSON || c.route.Body == OptionalJSON) && mediaType(r) != "application/json" {
		return errMediaType
	}
	return nil
}

// match finds the route of a request in the table.
func (a *API) match(w http.ResponseWriter, r *http.Request) (*Route, error) {
	if p := r.URL.EscapedPath(); p != path.Clean(p) {
		return nil, errNoRoute // the mux would answer with a redirect that repeats the path
	}
	if route := a.lookup(r, r.Method); route != nil {
		return route, nil
	}
	var allowed []string
	for _, m := range methods {
		if a.lookup(r, m) != nil {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) == 0 {
		return nil, errNoRoute
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return nil, errMethod
}

func (a *API) lookup(r *http.Request, method string) *Route {
	probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
	_, pattern := a.mux.Handler(probe)
	route := table[pattern]
	if route == nil || route.Method != method {
		return nil
	}
	return route
}

// TenantHeader names another tenant, for an instance's token on an admin route.
const TenantHeader = "Oubli-Tenant"

// authorise decides who asks and whether they may.
func (a *API) authorise(r *http.Request, c *call) error {
	if c.route.Open == Everybody || c.route.Open == OnLoopback && onLoopback(r) {
		return nil
	}
	text, ok := bearer(r.Header)
	if !ok {
		return eventstore.ErrUnauthenticated
	}
	token, err := a.Tokens.Authenticate(r.Context(), text)
	if err != nil {
		return err
	}
	c.token, c.tenant = token, token.Tenant
	if c.role, ok = c.route.admits(token.Roles); !ok || c.route.Instance && !token.Instance {
		return eventstore.ErrForbidden
	}
	return a.otherTenant(r, c)
}

var errOtherTenant = eventstore.Refuse(eventstore.KindForbidden, "", "only an admin token of the whole instance may name another tenant, and only to manage it")

// otherTenant honours [TenantHeader].
func (a *API) otherTenant(r *http.Request, c *call) error {
	named := r.Header.Values(TenantHeader)
	if len(named) == 0 || len(named) == 1 && named[0] == string(c.tenant) {
		return nil
	}
	if !c.token.Instance || !c.route.forAdmin() {
		return errOtherTenant
	}
	tenant, err := eventstore.ParseTenantID(named[0])
	if err != nil || len(named) > 1 {
		return eventstore.Refuse(eventstore.KindInvalid, "tenant", "the header Oubli-Tenant holds one tenant id")
	}
	served, err := a.Tenants.List(r.Context())
	if err != nil {
		return fmt.Errorf("listing the tenants: %w", err)
	}
	if !slices.Contains(served, tenant) {
		return errNoTenant
	}
	c.tenant = tenant
	return nil
}

var errNoTenant = eventstore.Refuse(eventstore.KindNotFound, "tenant", "there is no such tenant")

// bearer is the text of the access token.
func bearer(h http.Header) (string, bool) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, text, ok := strings.Cut(values[0], " ")
	text = strings.TrimSpace(text)
	return text, ok && strings.EqualFold(scheme, "Bearer") && text != ""
}

// proxyHeaders show that a request from this machine was passed on for somebody else.
var proxyHeaders = []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"}

// onLoopback says whether a request comes from the machine itself.
func onLoopback(r *http.Request) bool {
	for _, h := range proxyHeaders {
		if len(r.Header.Values(h)) > 0 {
			return false
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// mediaType is the content type without its parameters; empty if it is missing, malformed, or not UTF-8.
func mediaType(r *http.Request) string {
	t, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	if c := params["charset"]; c != "" && !strings.EqualFold(c, "utf-8") {
		return ""
	}
	return t
}

// fail answers with an error, if the answer has not begun; else it breaks the connection off.
func (a *API) fail(w *writer, r *http.Request, c *call, err error) {
	if unexpected(err) {
		a.logError(r, c, err)
	}
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	w.Header().Del("Content-Disposition")
	problemOf(err).write(w)
}

// now is used by handlers for times in answers.
func (a *API) now() time.Time { return a.Now().UTC() }
