package api

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/oubli-store/oubli/cmd/internal/pages"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

func (a *API) registerExport() {
	op := operation("export", "GET", "/v1/persons/{person}/export", "A person's copy of their data")
	op.Description = "JSON; with Accept: text/html a page to print; with Accept: application/zip both, and the files. The ledger entry comes first. What breaks off is not whole: JSON that does not end, a page without </html>, an archive without its directory."
	op.Parameters = []*huma.Param{parameter("path", "person", "string", "A person id"), languageParameter()}
	op.Responses = map[string]*huma.Response{"200": {Description: "The copy", Content: map[string]*huma.MediaType{
		jsonType: {Schema: a.schema(rights.Document{}, "Export")}, htmlType: textType(),
		zipType: {Schema: &huma.Schema{Type: huma.TypeString, ContentEncoding: "binary"}}}}}
	a.raw(op, func(w http.ResponseWriter, r *http.Request, c *call) error { return a.export(w, r, c, &op) })
}

func (a *API) export(w http.ResponseWriter, r *http.Request, c *call, op *huma.Operation) error {
	q, err := queries(r, op)
	if err != nil {
		return err
	}
	person, err := eventstore.ParsePersonID(r.PathValue("person"))
	if err != nil {
		return err
	}
	from, err := a.pageFrom(r.Context(), c, q)
	if err != nil {
		return err
	}
	if accepts(r, zipType) {
		leave, err := transfer(a.outgoing)
		if err != nil {
			return err
		}
		defer leave()
	}
	d, err := a.Rights.OpenCopy(r.Context(), c.tenant, c.actor(), person)
	if err != nil {
		return err
	}
	if err := a.writeCopy(w, r, c, from, d); err != nil {
		return err
	}
	return d.Done()
}

// writeCopy writes a copy in the form that was asked for.
func (a *API) writeCopy(w http.ResponseWriter, r *http.Request, c *call, from pages.From, d *rights.Copy) error {
	w.Header().Set("Vary", "Accept")
	name := "export-" + d.About.Person.String()
	switch {
	case accepts(r, htmlType):
		pageHeader(w)
		w.Header().Set("Content-Disposition", `inline; filename="`+name+`.html"`)
		return pages.WriteCopy(w, from, d, nil)
	case accepts(r, zipType):
		w.Header().Set("Content-Type", zipType)
		w.Header().Set("Content-Disposition", `attachment; filename="`+name+`.zip"`)
		return a.writeArchive(r.Context(), w, c.tenant, from, d)
	}
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`.json"`)
	return d.WriteJSON(w)
}
