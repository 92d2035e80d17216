package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"

	"github.com/oubli-store/oubli/cmd/internal/pages"
	"github.com/oubli-store/oubli/cmd/internal/phrases"
	"github.com/oubli-store/oubli/eventstore"
)

const (
	htmlType = "text/html"
	zipType  = "application/zip"
)

var errLanguage = eventstore.Refuse(eventstore.KindInvalid, "language", "the language is en or fr")

// languageParameter is that of every printable page.
func languageParameter() *huma.Param {
	return parameter("query", "language", "string", "Language of the page, en or fr; the tenant's setting if left out")
}

// textType is how /openapi.json describes a page.
func textType() *huma.MediaType { return &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}} }

// pageFrom is in whose name a tenant's pages are made, in the language that was asked for or the tenant's.
func (a *API) pageFrom(ctx context.Context, c *call, q url.Values) (pages.From, error) {
	language := q.Get("language")
	if language != "" && language != string(phrases.English) && language != string(phrases.French) {
		return pages.From{}, errLanguage
	}
	t, err := a.Settings.Get(ctx, c.tenant)
	if err != nil {
		return pages.From{}, err
	}
	if language == "" {
		language = t.Language
	}
	return pages.From{Lang: phrases.Lang(language), Controller: t.Controller, Contact: t.DPOContact, Zone: t.Zone()}, nil
}

// pageHeader says that the answer is a page, which may load and run nothing.
func pageHeader(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", pages.ContentType)
	h.Set("Content-Security-Policy", pages.HeaderPolicy)
	h.Set("Referrer-Policy", "no-referrer")
}
