package api

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

func (a *API) registerCertificate() {
	op := operation("certificate", "GET", "/v1/erasures/{id}/certificate", "The signed certificate of an erasure")
	op.Parameters = []*huma.Param{parameter("path", "id", "string", "An erasure's id")}
	op.Responses = map[string]*huma.Response{"200": {Description: "The certificate: its issues so far, each signed and chained to the one before. `oubli verify` checks it offline",
		Content: map[string]*huma.MediaType{jsonType: {Schema: &huma.Schema{Type: huma.TypeObject, Required: []string{"format", "key", "issues"}, Properties: map[string]*huma.Schema{
			"format": {Type: huma.TypeString}, "key": {Type: huma.TypeString, Description: "The ledger's public key"},
			"issues": {Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeObject, Required: []string{"statement", "signature"}, Properties: map[string]*huma.Schema{
				"statement": {Type: huma.TypeObject, Description: "What is certified"}, "signature": {Type: huma.TypeString, Description: "A signed note of the statement's hash"}}}}}}}}}}
	a.raw(op, func(w http.ResponseWriter, r *http.Request, c *call) error {
		if _, err := queries(r, &op); err != nil {
			return err
		}
		file, err := a.Rights.Certificate(r.Context(), c.tenant, r.PathValue("id"))
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", jsonType)
		_, err = w.Write(file)
		return err
	})
}
