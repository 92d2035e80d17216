package server

import (
	"strings"
	"testing"

	"github.com/oubli-store/oubli/cmd/internal/api"
	"github.com/oubli-store/oubli/eventstore"
)

const acme eventstore.TenantID = "acme"

// TestTenants: one is made while serving, kept apart from the others, and erased for good.
func TestTenants(t *testing.T) {
	c := config(t.TempDir())
	w := begin(t, c)
	w.want(201, "POST", "/v1/tenants", w.admin, `{"tenant":"acme"}`)
	if status, _ := w.ask("POST", "/v1/tenants", w.admin, `{"tenant":"acme"}`); status != 409 {
		t.Errorf("made twice: %d", status)
	}
	theirs, ours := w.token(`{"roles":["bot"],"bot":"shop"}`, api.TenantHeader, "acme"), w.token(`{"roles":["bot"],"bot":"shop"}`)
	dpo := w.token(`{"roles":["dpo"]}`, api.TenantHeader, "acme")
	alice := w.says(theirs, "alice@example.com", "in acme")
	if other := w.says(ours, "alice@example.com", "in default"); other == alice {
		t.Error("two tenants share a person")
	}
	for range 2 { // before and after a restart
		_, text := w.ask("GET", "/v1/persons/"+alice+"/events", dpo, "")
		if !strings.Contains(text, "in acme") || strings.Contains(text, "in default") {
			t.Errorf("%s", text)
		}
		if status, _ := w.ask("GET", "/v1/persons/"+alice+"/events", w.admin, ""); status != 404 {
			t.Errorf("another tenant finds the person: %d", status)
		}
		w.end()
		w = begin(t, c)
	}
	w.want(200, "PUT", "/v1/settings", w.admin, `{"k":20}`, api.TenantHeader, "acme")
	if s := w.Server.settings; s.analytics(acme).K != 20 || s.analytics(eventstore.DefaultTenant).K != 10 {
		t.Errorf("settings: %+v %+v", s.analytics(acme), s.analytics(eventstore.DefaultTenant))
	}
	w.want(200, "POST", "/v1/tenants/acme/erase", w.admin, "")
	for range 2 {
		if status, _ := w.ask("GET", "/v1/persons/"+alice, dpo, ""); status != 401 {
			t.Errorf("a token of an erased tenant: %d", status)
		}
		if status, _ := w.ask("GET", "/v1/tokens", w.admin, "", api.TenantHeader, "acme"); status != 404 {
			t.Errorf("an erased tenant: %d", status)
		}
		list := w.want(200, "GET", "/v1/tenants", w.admin, "")
		if len(list["tenants"].([]any)) != 1 {
			t.Errorf("%v", list)
		}
		w.end()
		w = begin(t, c)
	}
	w.says(w.token(`{"roles":["bot"],"bot":"shop"}`), "alice@example.com", "goes on")
}

// TestTenantHalfMade: one whose making was interrupted is finished, by asking again or by the next start.
func TestTenantHalfMade(t *testing.T) {
	c := config(t.TempDir())
	w := begin(t, c)
	if err := w.vault.CreateTenant(t.Context(), acme); err != nil {
		t.Fatal(err)
	}
	w.want(201, "POST", "/v1/tenants", w.admin, `{"tenant":"acme"}`)
	if err := w.vault.CreateTenant(t.Context(), "later"); err != nil {
		t.Fatal(err)
	}
	w.end()
	w = begin(t, c)
	for _, tenant := range []string{"acme", "later"} {
		w.says(w.token(`{"roles":["bot"],"bot":"shop"}`, api.TenantHeader, tenant), "alice@example.com", "hello")
	}
}

// TestTenantHalfErased: an erasure that was interrupted is finished, by asking again or by the next start.
func TestTenantHalfErased(t *testing.T) {
	c := config(t.TempDir())
	w := begin(t, c)
	for _, tenant := range []eventstore.TenantID{acme, "later"} {
		w.want(201, "POST", "/v1/tenants", w.admin, `{"tenant":"`+string(tenant)+`"}`)
		if err := w.vault.Put(t.Context(), eventstore.DefaultTenant, tableServer, erasePrefix+string(tenant), []byte{1}); err != nil {
			t.Fatal(err)
		}
		if err := w.vault.EraseTenant(t.Context(), tenant); err != nil {
			t.Fatal(err)
		}
	}
	w.want(200, "POST", "/v1/tenants/acme/erase", w.admin, "")
	w.end()
	w = begin(t, c)
	rows, err := w.vault.List(t.Context(), eventstore.DefaultTenant, tableServer)
	if err != nil {
		t.Fatal(err)
	}
	for name := range rows {
		if strings.HasPrefix(name, erasePrefix) {
			t.Errorf("the erasure of %s is still to be finished", strings.TrimPrefix(name, erasePrefix))
		}
	}
	if status, text := w.ask("POST", "/v1/tenants/later/erase", w.admin, ""); status != 404 {
		t.Errorf("%d %s", status, text)
	}
}
