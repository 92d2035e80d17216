package api

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

func TestImportOptions(t *testing.T) {
	o, err := importOptions(url.Values{"own": {"a@example.com,b@example.com"}, "region": {"FR"}, "bot": {"shop"}, "approver_header": {"X-By"}})
	if err != nil || len(o.Own) != 2 || o.Own[1] != "b@example.com" || o.Region != "FR" || o.Bot != "shop" || o.ApproverHeader != "X-By" || o.Zone == nil {
		t.Errorf("%v, %d own addresses, region %q", err, len(o.Own), o.Region)
	}
	for name, bad := range map[string]string{"zone": "Nowhere", "region": "XX", "status_header": "X: y", "approver_header": "é"} {
		if _, err := importOptions(url.Values{name: {bad}}); err == nil {
			t.Errorf("%s may be %q", name, bad)
		}
	}
}

// A mail comes in with what it does not say itself, and the answer holds nothing of it.
func TestImportMail(t *testing.T) {
	h := newHarness(t)
	ask := func(query string) response {
		mail := "From: shop@example.com\r\nTo: " + canary + "@example.org\r\nMessage-ID: <1@example.com>\r\nSubject: " + canary + "\r\n\r\n" + canary + "\r\n"
		return h.do(request{method: "POST", path: "/v1/import/mail" + query, token: h.tokens["default/bot"], body: mail,
			header: map[string]string{"Content-Type": "message/rfc822"}})
	}
	r := ask("?own=shop@example.com")
	h.unseen(r, canary)
	if r.StatusCode != http.StatusOK || len(h.store.all) != 1 {
		t.Fatalf("%d %s, %d stored", r.StatusCode, r.text, len(h.store.all))
	}
	h.problem(ask("?zone="+canary), eventstore.KindInvalid, http.StatusBadRequest, canary)
	h.problem(ask("?region="+canary), eventstore.KindInvalid, http.StatusBadRequest, canary)
}
