package api

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/oubli-store/oubli/eventstore"
)

// Every error that huma writes has the one shape. The variable is huma's own and for the whole process.
func init() { huma.NewError = problemFromHuma }

// Problems that huma finds in a request.
var (
	errForm     = eventstore.Refuse(eventstore.KindInvalid, "", "the request does not have the documented form; see /openapi.json")
	errUnknown  = eventstore.Refuse(eventstore.KindInvalid, "", "an unknown field was sent; see /openapi.json")
	errMissing  = eventstore.Refuse(eventstore.KindInvalid, "", "a required field is missing")
	errNotJSON  = eventstore.Refuse(eventstore.KindInvalid, "", "the body is not one valid JSON document in UTF-8 of bounded depth")
	errNoBody   = eventstore.Refuse(eventstore.KindInvalid, "", "the request needs a JSON body")
	errBodySize = eventstore.Refuse(eventstore.KindTooLarge, "", "the body is larger than this route takes")
)

// problemFromHuma stands in for [huma.NewError]. Huma's messages and details repeat what was sent, so only their kind is looked at, and
// a field only where its name is one of the documented ones.
func problemFromHuma(status int, _ string, errs ...error) huma.StatusError {
	err := errors.Join(errs...)
	var p *eventstore.Problem
	if errors.As(err, &p) || errors.Is(err, eventstore.ErrDamaged) || errors.Is(err, eventstore.ErrKeyLost) {
		return problemOf(err)
	}
	base, field, depth := errForm, "", 0
	var detail *huma.ErrorDetail
	if errors.As(err, &detail) {
		base, field, depth = found(status, detail)
	}
	switch {
	case status == http.StatusRequestEntityTooLarge:
		base = errBodySize
	case status == http.StatusRequestTimeout:
		base = errSlow
	case status == http.StatusUnsupportedMediaType:
		base = errMediaType
	case status >= http.StatusInternalServerError:
		base = errInternal
	case status == http.StatusBadRequest && len(errs) == 0:
		base = errNoBody
	}
	out := *problemOf(base)
	if base == errForm || base == errUnknown || base == errMissing {
		out.Field, out.Depth = field, depth
	}
	return &out
}

// found says what is wrong where, by the first thing that huma found.
func found(status int, detail *huma.ErrorDetail) (base *eventstore.Problem, field string, depth int) {
	segments := strings.FieldsFunc(detail.Location, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
	depth = max(len(segments)-1, 0)
	before, after, _ := strings.Cut(validation.MsgExpectedRequiredProperty, "%s")
	switch {
	case detail.Message == validation.MsgUnexpectedProperty:
		return errUnknown, "", depth
	case strings.HasPrefix(detail.Message, before) && strings.HasSuffix(detail.Message, after):
		name := strings.TrimSuffix(strings.TrimPrefix(detail.Message, before), after)
		return errMissing, knownField(append(segments, name)), depth
	case detail.Location == "body" && status == http.StatusBadRequest:
		return errNotJSON, "", 0
	}
	return errForm, knownField(segments), depth
}

// knownField joins the names of a location (its first segment says where: body, query, path) if all are documented ones.
func knownField(segments []string) string {
	var names []string
	for _, s := range segments[min(1, len(segments)):] {
		if _, err := strconv.Atoi(s); err == nil {
			continue
		}
		if !documented[s] {
			return ""
		}
		names = append(names, s)
	}
	return strings.Join(names, ".")
}

// documented holds the names of every parameter and field that requests can have outside events; a test compares it with the OpenAPI document.
var documented = set("identities", "kind", "verified", "decision", "recipients", "recipient", "namespace", "id", "identity", "conversation", "bot", "reason", "note", "ticket", "scope", "query", "dry_run", "refuse_for",
	"person", "projection", "from", "to", "by", "where", "format", "after", "limit", "roles", "owner", "expires", "instance", "set", "tenant", "before")

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}
