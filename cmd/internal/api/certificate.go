package api

import (
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/oubli-store/oubli/cmd/internal/pages"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/ledger"
)

func (a *API) registerCertificate() {
	op := operation("certificate", "GET", "/v1/erasures/{id}/certificate", "The signed certificate of an erasure")
	op.Parameters = []*huma.Param{parameter("path", "id", "string", "An erasure's id"), languageParameter()}
	op.Responses = map[string]*huma.Response{"200": {Description: "The certificate: its issues so far, each signed and chained to the one before. `oubli verify` checks it offline",
		Content: map[string]*huma.MediaType{jsonType: {Schema: &huma.Schema{Type: huma.TypeObject, Required: []string{"format", "key", "issues"}, Properties: map[string]*huma.Schema{
			"format": {Type: huma.TypeString}, "key": {Type: huma.TypeString, Description: "The ledger's public key"},
			"issues": {Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeObject, Required: []string{"statement", "signature"}, Properties: map[string]*huma.Schema{
				"statement": {Type: huma.TypeObject, Description: "What is certified"}, "signature": {Type: huma.TypeString, Description: "A signed note of the statement's hash"}}}}}}}, htmlType: textType()}}}
	a.raw(op, func(w http.ResponseWriter, r *http.Request, c *call) error {
		q, err := queries(r, &op)
		if err != nil {
			return err
		}
		from, err := a.pageFrom(r.Context(), c, q)
		if err != nil {
			return err
		}
		file, err := a.Rights.Certificate(r.Context(), c.tenant, r.PathValue("id"))
		if err != nil {
			return err
		}
		w.Header().Set("Vary", "Accept")
		if accepts(r, htmlType) {
			return letter(w, from, file)
		}
		w.Header().Set("Content-Type", jsonType)
		_, err = w.Write(file)
		return err
	})
}

// letter answers with the last issue of a certificate as a page. It is checked first: a page that says more than the signed file must not go out.
func letter(w http.ResponseWriter, from pages.From, file []byte) error {
	v, err := ledger.VerifyCertificate(file, "")
	if err != nil {
		return fmt.Errorf("%w: a stored certificate does not pass its checks: %w", eventstore.ErrDamaged, err)
	}
	pageHeader(w)
	return pages.WriteCertificate(w, from, v)
}
