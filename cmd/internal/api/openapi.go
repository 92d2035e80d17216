package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/oubli-store/oubli/eventstore"
)

// humaConfig is huma with JSON only, without its documentation page (which loads scripts from elsewhere) and its own document routes.
func humaConfig(version string) huma.Config {
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshalStrictly}
	schemas := huma.NewMapRegistry("#/components/schemas/", schemaName)
	schemas.RegisterTypeAlias(reflect.TypeFor[eventstore.Scope](), reflect.TypeFor[scopeSchema]())
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{Title: "Oubli", Version: version,
				Description: "Conversation events that can be forgotten. Errors are application/problem+json and never repeat what was sent."},
			Components: &huma.Components{
				Schemas:         schemas,
				SecuritySchemes: map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}},
			},
		},
		Formats:                      map[string]huma.Format{jsonType: format, "json": format},
		DefaultFormat:                jsonType,
		RejectUnknownQueryParameters: true,
	}
}

// schemaName names the schemas of /openapi.json by their types.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	return strings.TrimSuffix(name, "Body")
}

// unmarshalStrictly reads one JSON document: valid UTF-8, bounded in depth. (Huma checks unknown fields and types.)
func unmarshalStrictly(b []byte, v any) error {
	if !utf8.Valid(b) || !shallow(b) {
		return errNotJSON
	}
	if err := json.Unmarshal(b, v); err != nil {
		return errNotJSON.Because(err)
	}
	return nil
}

// shallow says whether the nesting of a document is bounded by [eventstore.MaxDepth].
func shallow(b []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch {
		case quoted && b[i] == '\\':
			i++
		case b[i] == '"':
			quoted = !quoted
		case quoted:
		case b[i] == '{' || b[i] == '[':
			if depth++; depth > eventstore.MaxDepth {
				return false
			}
		case b[i] == '}' || b[i] == ']':
			depth--
		}
	}
	return true
}

// reply is the answer of a route: a body with a status.
type reply[T any] struct {
	Status int
	Body   T
}

// ok is a 200.
func ok[T any](v T) *reply[T] { return &reply[T]{Status: http.StatusOK, Body: v} }

// operation describes a route for [handle].
func operation(id, method, path, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary}
}

// handle registers a route whose request and answer are types: huma reads, checks and writes them.
func handle[I, O any](a *API, op huma.Operation, answer func(context.Context, *call, *I) (*reply[O], error)) {
	op.BodyReadTimeout = -1 // [body] has its own deadline
	op.MaxBodyBytes = eventstore.MaxEvent + 1
	secure(&op)
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*reply[O], error) {
		c := callOf(ctx)
		out, err := answer(ctx, c, in)
		if err != nil {
			if unexpected(err) {
				a.logError((&http.Request{}).WithContext(ctx), c, err)
			}
			return nil, problemOf(err)
		}
		return out, nil
	})
}

// raw registers a route that reads or writes a stream itself.
func (a *API) raw(op huma.Operation, answer func(http.ResponseWriter, *http.Request, *call) error) {
	secure(&op)
	problem := a.schema(Problem{}, "Problem")
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	op.Responses["default"] = &huma.Response{Description: "Error", Content: map[string]*huma.MediaType{problemType: {Schema: problem}}}
	a.huma.OpenAPI().AddOperation(&op)
	a.huma.Adapter().Handle(&op, func(ctx huma.Context) {
		r, w := humago.Unwrap(ctx)
		c := callOf(r.Context())
		if err := answer(w, r, c); err != nil {
			out := w.(*writer)
			a.fail(out, r, c, err)
		}
	})
}

// secure writes the table's roles into the description of a route.
func secure(op *huma.Operation) {
	route := table[op.Method+" "+op.Path]
	if route == nil || route.Open == Everybody {
		return
	}
	op.Security = []map[string][]string{{"token": {}}}
	var names []string
	for _, r := range route.Roles {
		names = append(names, string(r))
	}
	note := "Roles: " + strings.Join(names, ", ") + "."
	if route.Open == OnLoopback {
		note += " No token is needed from the machine itself."
	}
	if route.Instance {
		note += " Only tokens of the whole instance."
	}
	op.Description = strings.TrimSpace(op.Description + "\n\n" + note)
}

// schema is the schema of v's type in /openapi.json.
func (a *API) schema(v any, hint string) *huma.Schema {
	return a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(v), true, hint)
}

// parameter describes a parameter of a raw route.
func parameter(in, name, kind, doc string) *huma.Param {
	return &huma.Param{Name: name, In: in, Required: in == "path", Description: doc, Schema: &huma.Schema{Type: kind}}
}

// queries reads the query of a raw route: every name must be one of those described, and stand once (or be in many).
func queries(r *http.Request, op *huma.Operation, many ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, eventstore.Refuse(eventstore.KindInvalid, "", "the query is not a valid one")
	}
	for name, values := range q {
		known := slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.In == "query" && p.Name == name })
		if !known {
			return nil, eventstore.Refuse(eventstore.KindInvalid, "", "a query parameter is not known; see /openapi.json")
		}
		if len(values) > 1 && !slices.Contains(many, name) {
			return nil, eventstore.Refuse(eventstore.KindInvalid, "", "a query parameter stands more than once")
		}
		for _, v := range values {
			if !utf8.ValidString(v) || strings.ContainsRune(v, 0) || len(v) > eventstore.MaxText {
				return nil, eventstore.Refuse(eventstore.KindInvalid, "", "a query parameter is not valid")
			}
		}
	}
	return q, nil
}

// document renders /openapi.json once.
func document(h huma.API) []byte {
	b, err := json.Marshal(h.OpenAPI())
	if err != nil {
		panic("api: the OpenAPI document does not render: " + err.Error())
	}
	var out bytes.Buffer
	json.Indent(&out, b, "", " ")
	return out.Bytes()
}

// decode reads the JSON body of a raw route; unknown fields and wrong types are refused.
func decode(raw []byte, v any) error {
	if len(raw) == 0 {
		return errNoBody
	}
	if err := unmarshalStrictly(raw, &json.RawMessage{}); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errForm.Because(err)
	}
	return nil
}
