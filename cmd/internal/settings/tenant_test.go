package settings

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/keystest"
	"github.com/oubli-store/oubli/projections"
)

const tenant = eventstore.DefaultTenant

func start(t *testing.T) (*Tenants, *keystest.Fake) {
	t.Helper()
	vault := keystest.New()
	if err := vault.CreateTenant(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	return NewTenants(vault), vault
}

func TestTenantSettings(t *testing.T) {
	a, vault := start(t)
	got, err := a.Get(t.Context(), tenant)
	if err != nil || got != Defaults() || got.K != 10 || got.Zone().String() != "Europe/Paris" || got.Language != "en" {
		t.Errorf("the defaults are %+v, %v", got, err)
	}
	set := map[string]string{"timezone": "America/New_York", "k": "25", "controller": "Société Exemple", "dpo_contact": "dpo@example.com", "language": "fr", "retention": "400d", "attachment_max": "25MiB", "attachments_total": "2TiB"}
	if err := a.Put(t.Context(), tenant, set); err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.Timezone, want.K, want.Controller, want.DPOContact, want.Language, want.Retention = "America/New_York", 25, "Société Exemple", "dpo@example.com", "fr", "400d"
	want.AttachmentMax, want.AttachmentsTotal = "25MiB", "2TiB"
	if got, err := NewTenants(vault).Get(t.Context(), tenant); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if err := a.Put(t.Context(), tenant, map[string]string{"k": "", "dpo_contact": "https://example.com/privacy"}); err != nil {
		t.Fatal(err)
	}
	if got, err := a.Get(t.Context(), tenant); err != nil || got.K != 10 || got.Language != "fr" || got.DPOContact != "https://example.com/privacy" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := a.Get(t.Context(), "elsewhere"); !errors.Is(err, eventstore.ErrNotFound) {
		t.Errorf("an unknown tenant: %v", err)
	}
	for _, d := range Describe() {
		if d.Name == "" || d.Allowed == "" || d.Meaning == "" {
			t.Errorf("%+v", d)
		}
	}
}

// A bad value is refused with what is allowed, without being repeated, and nothing of the same request is stored.
func TestTenantRefusals(t *testing.T) {
	a, vault := start(t)
	for name, values := range map[string][]string{
		"timezone":    {"Local", "SECRET", "../../etc/passwd", "europe/SECRET", strings.Repeat("x", 65)},
		"k":           {"1", "4", "0", "-3", "10001", "SECRET", "1e3", " 10", "010", "99999999999999999999"},
		"analytics":   {"SECRET", "Consent", "opt-in"},
		"controller":  {"SECRET\nline", "\xff", strings.Repeat("x", 501)},
		"dpo_contact": {"SECRET", "http://SECRET", "Name <SECRET@example.com>", "javascript:SECRET", "https://"},
		"language":    {"SECRET", "FR", "de"},

		"epsilon":         {"SECRET", "0", "0.009", "10.001", "11", "-1", "1e3", ".5", "1.", "0.1234", "+1", "1,5"},
		"epsilon_budget":  {"SECRET", "0", "100000.001", "1000000"},
		"grace":           {"SECRET", "0h", "313h", "48", "2d", "-48h", "048h", "1.5h"},
		"bound":           {"SECRET", "0", "1001", "-5", "1e2"},
		"stats_retention": {"SECRET", "91d", "730", "36501d"},
		"answer_within":   {"SECRET", "0d", "32d", "15", "015d"},
		"four_eyes":       {"SECRET", "on"},
		"SECRET":          {"1"},

		"storage":        {"SECRET", "Always", "after_consent", "true"},
		"withdrawal":     {"SECRET", "forget", "true"},
		"phone_regions":  {"SECRET", "fr", "FRA", "FR,FR", "ZZ"},
		"mask_card":      {"SECRET", "on", "Mask"},
		"mask_iban":      {"SECRET", "true"},
		"mask_nir":       {"SECRET", "mask,flag"},
		"mask_email":     {"SECRET"},
		"mask_phone":     {"SECRET"},
		"mask_siret":     {"SECRET"},
		"mask_ip":        {"SECRET"},
		"keep_sensitive": {"SECRET", "TRUE", "1", "yes"},
		"keep_types":     {"SECRET", "message,SECRET", "none", "message;intent", "message,message", "notice"},
		"keep_fields":    {"SECRET", "text,SECRET", "none,text", "conversation"},
		"keep_entities":  {"none,SECRET", "SECRET\x00", "SECRET,SECRET", strings.Repeat("x", eventstore.MaxName+1), numbered(65)},
		"keep_data":      {"none,SECRET", "\xff", ", ,", numbered(65)},
		"purposes":       {"SECRET", "analytics", "analytics:SECRET", "SECRET:consent", "analytics:consent,analytics:contract", ":consent", "a:Consent"},
		"recipients":     {"SECRET,SECRET", "SECRET\tx", strings.Repeat("x", eventstore.MaxName+1), numbered(65)},
		"place":          {"SECRET\nline", "\xff", strings.Repeat("x", 501)},
		"notices": {"SECRET", "[]", "{}", `[{"version":"SECRET"}]`, `[{"version":"v1","language":"fr","text":" "}]`, `[{"version":"v1","language":"fr FR","text":"SECRET"}]`,
			`[{"version":"v1","language":"fr","text":"a"},{"version":"v1","language":"fr","text":"SECRET"}]`, `[{"version":"v1","language":"fr","text":"a","SECRET":1}]`,
			`[{"version":"v1","language":"fr","text":"a"}] SECRET`, `[{"version":"v1","language":"fr","text":"` + strings.Repeat("x", 16<<10+1) + `"}]`},
	} {
		for _, value := range values {
			err := a.Put(t.Context(), tenant, map[string]string{"language": "fr", name: value})
			if !errors.Is(err, eventstore.ErrInvalid) || !allows(err.Error(), name) || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("%s = %.40q: %v", name, value, err)
			}
		}
	}
	if rows, err := vault.List(t.Context(), tenant, eventstore.TableSettings); err != nil || len(rows) != 0 {
		t.Errorf("%d rows were stored", len(rows))
	}
	if err := vault.Put(t.Context(), tenant, eventstore.TableSettings, "k", []byte("SECRET")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Get(t.Context(), tenant); !errors.Is(err, eventstore.ErrDamaged) || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("a stored value that is not allowed: %v", err)
	}
}

// TestAnalytics: what is set is what projections are told, and the defaults are theirs.
func TestAnalytics(t *testing.T) {
	d := Defaults().Analytics()
	if d.K != projections.DefaultK || d.Bound != projections.DefaultBound || d.Grace != projections.DefaultGrace || d.Keep != projections.DefaultKeep || d.Epsilon != 0 {
		t.Errorf("%+v", d)
	}
	a, _ := start(t)
	if err := a.Put(t.Context(), tenant, map[string]string{"epsilon": "0.25", "epsilon_budget": "12.5", "grace": "24h", "bound": "7", "stats_retention": "100d"}); err != nil {
		t.Fatal(err)
	}
	s, err := a.Get(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	got := s.Analytics()
	if got.Epsilon != 250 || got.Budget != 12_500 || got.Grace != 24*time.Hour || got.Bound != 7 || got.Keep != 100*24*time.Hour {
		t.Errorf("%+v", got)
	}
}
