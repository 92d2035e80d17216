package settings

import (
	"context"
	"fmt"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a minimal machine has no time zones
	"unicode"
	"unicode/utf8"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
	"github.com/oubli-store/oubli/projections/release"
)

// Tenant is what can be set for one tenant.
type Tenant struct {
	// Timezone is the zone in which its periods are counted.
	Timezone string `json:"timezone"`
	// K is the fewest distinct persons that a published figure may stand for.
	K int `json:"k"`
	// Counted is who counts in statistics: opt-out or consent.
	Counted string `json:"analytics"`
	// Controller names who is responsible for the data, DPOContact how to reach the data protection officer.
	Controller string `json:"controller"`
	DPOContact string `json:"dpo_contact"`
	// Language is that of pages and letters.
	Language string `json:"language"`
	// Retention is for how many days events are kept, such as 730d; empty: as long as the server's setting says.
	Retention string `json:"retention"`
	// AttachmentMax is the largest file, AttachmentsTotal how much all files may take, such as 100MiB.
	AttachmentMax    string `json:"attachment_max"`
	AttachmentsTotal string `json:"attachments_total"`
	// Epsilon is the privacy loss of one release, a decimal number; empty: no noise. EpsilonBudget is what those of one year may lose together.
	Epsilon       string `json:"epsilon"`
	EpsilonBudget string `json:"epsilon_budget"`
	// Grace is for how many hours a period stays open after it ended.
	Grace string `json:"grace"`
	// Bound is the most that one person adds to a figure of a release.
	Bound int `json:"bound"`
	// StatsRetention is for how many days releases are kept.
	StatsRetention string `json:"stats_retention"`
	// AnswerWithin is in how many days people's requests are answered, FourEyes what needs the approval of a second person: off or erasures.
	AnswerWithin string `json:"answer_within"`
	FourEyes     string `json:"four_eyes"`
	// Privacy is what people are told, Door what may be kept of what they say.
	Privacy
	Door
}

// Attachments are the limits of files.
func (t Tenant) Attachments() eventstore.AttachmentLimits {
	largest, _ := size(t.AttachmentMax)
	total, _ := size(t.AttachmentsTotal)
	return eventstore.AttachmentLimits{Largest: largest, Total: total}
}

// size reads a whole number of KiB, MiB, GiB or TiB; 0 for none.
func size(v string) (uint64, bool) {
	if v == "0" {
		return 0, true
	}
	for shift, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if digits, is := strings.CutSuffix(v, unit); is {
			n, err := strconv.ParseUint(digits, 10, 20)
			return n << (10 * (shift + 1)), err == nil && n > 0 && strconv.FormatUint(n, 10) == digits
		}
	}
	return 0, false
}

// Keep is how long events are kept, given what the server says for tenants that say nothing.
func (t Tenant) Keep(byDefault time.Duration) time.Duration {
	if d, ok := retention(t.Retention); ok {
		return d
	}
	return byDefault
}

// MaxRetention is the longest time for which events can be kept.
const MaxRetention = 36500 * 24 * time.Hour

// retention reads a whole number of days.
func retention(v string) (time.Duration, bool) {
	digits, isDays := strings.CutSuffix(v, "d")
	n, err := strconv.Atoi(digits)
	d := time.Duration(n) * 24 * time.Hour
	return d, isDays && err == nil && strconv.Itoa(n) == digits && n <= 36500 && d >= rights.LeastRetention
}

// IsRetention says whether events can be kept for so long: a whole number of days, at least 92d.
func IsRetention(v string) bool { _, ok := retention(v); return ok }

// Zone is Timezone, loaded.
func (t Tenant) Zone() *time.Location {
	zone, err := time.LoadLocation(t.Timezone)
	if err != nil {
		return time.UTC
	}
	return zone
}

// Description says what one setting of a tenant is, for people.
type Description struct {
	Name    string `json:"name"`
	Default string `json:"default"`
	Allowed string `json:"allowed"`
	Meaning string `json:"meaning"`
}

// tenantSetting is a description and how to put a value in its place; set says whether it is allowed.
type tenantSetting struct {
	Description
	set func(*Tenant, string) bool
	// refused is what a bad value is answered with: a constant, so that it cannot repeat the value.
	refused *eventstore.Problem
}

const (
	minK, maxK = 5, 10_000
	maxBound   = 1000
	maxText    = 500
)

const generalNames = "timezone, k, analytics, controller, dpo_contact, language, retention, attachment_max, attachments_total, epsilon, epsilon_budget, grace, bound, stats_retention, answer_within, four_eyes"

var tenantSettings = slices.Concat(generalSettings, privacySettings, doorSettings)

var generalSettings = []tenantSetting{
	{Description{"timezone", "Europe/Paris", "a name of the IANA time zone database", "the time zone in which days, weeks and months are counted; when it changes open periods are counted anew in it, releases stay, and nothing counts twice"},
		func(t *Tenant, v string) bool { t.Timezone = v; return isZone(v) },
		eventstore.Refuse(eventstore.KindInvalid, "timezone", "a time zone is a name of the IANA database, such as Europe/Paris or UTC")},
	{Description{"k", "10", "a whole number from 5 to 10000", "the fewest distinct persons that a published figure may stand for; smaller groups are folded together or hidden"},
		func(t *Tenant, v string) bool {
			n, err := strconv.Atoi(v)
			t.K = n
			return err == nil && n >= minK && n <= maxK && strconv.Itoa(n) == v
		},
		eventstore.Refuse(eventstore.KindInvalid, "k", "k is a whole number from 5 to 10000: a figure about fewer than 5 persons soon tells of one")},
	{Description{"analytics", "opt-out", "opt-out or consent", "who counts in statistics: everybody but those who object, are restricted or said no (opt-out), or only those who consented to the purpose analytics, from then on (consent)"},
		func(t *Tenant, v string) bool { t.Counted = v; return v == "opt-out" || v == "consent" },
		eventstore.Refuse(eventstore.KindInvalid, "analytics", "analytics is opt-out or consent")},
	{Description{"controller", "", "one line of at most 500 bytes", "who is responsible for the data (the controller), as people are told"},
		func(t *Tenant, v string) bool { t.Controller = v; return isLine(v) },
		eventstore.Refuse(eventstore.KindInvalid, "controller", "the controller is one line of at most 500 bytes")},
	{Description{"dpo_contact", "", "an e-mail address, or a URL https://…", "how people reach the data protection officer"},
		func(t *Tenant, v string) bool { t.DPOContact = v; return v == "" || isContact(v) },
		eventstore.Refuse(eventstore.KindInvalid, "dpo_contact", "the contact is an e-mail address, or a URL https://…")},
	{Description{"language", "en", "en or fr", "the language of pages and letters for people"},
		func(t *Tenant, v string) bool { t.Language = v; return v == "en" || v == "fr" },
		eventstore.Refuse(eventstore.KindInvalid, "language", "the language is en or fr")},
	{Description{"retention", "", "a whole number of days from 92d to 36500d", "how long events are kept, by whole months; what is older is destroyed once a day (empty: as the server's setting retention says, 730d by default)"},
		func(t *Tenant, v string) bool { t.Retention = v; return v == "" || IsRetention(v) },
		eventstore.Refuse(eventstore.KindInvalid, "retention", "retention is a whole number of days from 92d to 36500d, such as 730d")},
	{Description{"attachment_max", "100MiB", "a whole number of KiB, MiB or GiB up to 1GiB, or 0", "the largest file that is taken with an event; 0: none is"},
		func(t *Tenant, v string) bool {
			n, ok := size(v)
			t.AttachmentMax = v
			return ok && n <= eventstore.MaxAttachment
		},
		eventstore.Refuse(eventstore.KindInvalid, "attachment_max", "attachment_max is a whole number of KiB, MiB or GiB up to 1GiB, or 0")},
	{Description{"attachments_total", "100GiB", "a whole number of KiB, MiB, GiB or TiB, or 0", "how much all files of the tenant may take together"},
		func(t *Tenant, v string) bool { _, ok := size(v); t.AttachmentsTotal = v; return ok },
		eventstore.Refuse(eventstore.KindInvalid, "attachments_total", "attachments_total is a whole number of KiB, MiB, GiB or TiB, or 0")},
	{Description{"epsilon", "", "a number from 0.01 to 10 with at most three decimals, or nothing", "the privacy loss of one release: discrete Laplace noise is added to its figures, and nothing is shown before (empty: no noise)"},
		func(t *Tenant, v string) bool { t.Epsilon = v; return v == "" || isEpsilon(v, release.MaxEpsilon) },
		eventstore.Refuse(eventstore.KindInvalid, "epsilon", "epsilon is a number from 0.01 to 10 with at most three decimals: below nothing but noise is left, above it hides nobody")},
	{Description{"epsilon_budget", "1000", "a number from 0.01 to 100000 with at most three decimals", "what the releases of one year may lose together; each projection has one for each day, week and month; when it is spent they are published empty"},
		func(t *Tenant, v string) bool { t.EpsilonBudget = v; return isEpsilon(v, maxBudget) },
		eventstore.Refuse(eventstore.KindInvalid, "epsilon_budget", "the budget is a number from 0.01 to 100000 with at most three decimals")},
	{Description{"grace", "48h", "a whole number of hours from 1h to 312h", "how long a period stays open after it ended and after its last event came in; it is closed at the latest 14 days after it ended or began to come in"},
		func(t *Tenant, v string) bool { t.Grace = v; _, ok := hours(v); return ok },
		eventstore.Refuse(eventstore.KindInvalid, "grace", "the grace time is a whole number of hours from 1h to 312h, such as 48h")},
	{Description{"bound", "50", "a whole number from 1 to 1000", "the most that one person adds to one figure of a release; with noise, less of it needs less noise"},
		func(t *Tenant, v string) bool {
			n, err := strconv.Atoi(v)
			t.Bound = n
			return err == nil && n >= 1 && n <= maxBound && strconv.Itoa(n) == v
		},
		eventstore.Refuse(eventstore.KindInvalid, "bound", "the bound is a whole number from 1 to 1000: without one a single busy person would show")},
	{Description{"stats_retention", "730d", "a whole number of days from 92d to 36500d", "how long releases are kept after their period ended; then they are deleted whole and their hash stays in the ledger"},
		func(t *Tenant, v string) bool { t.StatsRetention = v; return IsRetention(v) },
		eventstore.Refuse(eventstore.KindInvalid, "stats_retention", "stats_retention is a whole number of days from 92d to 36500d, such as 730d")},
	{Description{"answer_within", "15d", "a whole number of days from 1d to 31d", "in how many days people's requests are answered; what is later is overdue, and so is everything after the month that the law gives"},
		func(t *Tenant, v string) bool { t.AnswerWithin = v; _, ok := days(v, 31); return ok },
		eventstore.Refuse(eventstore.KindInvalid, "answer_within", "answer_within is a whole number of days from 1d to 31d, such as 15d")},
	{Description{"four_eyes", "off", "off or erasures", "erasures: an erasure that one token asks for waits until the token of another owner approves it"},
		func(t *Tenant, v string) bool { t.FourEyes = v; return v == "off" || v == "erasures" },
		eventstore.Refuse(eventstore.KindInvalid, "four_eyes", "four_eyes is off or erasures")},
}

// days reads a whole number of days, at least one and at most most.
func days(v string, most int) (time.Duration, bool) {
	digits, isDays := strings.CutSuffix(v, "d")
	n, err := strconv.Atoi(digits)
	return time.Duration(n) * 24 * time.Hour, isDays && err == nil && strconv.Itoa(n) == digits && n >= 1 && n <= most
}

// Promise is AnswerWithin, read.
func (t Tenant) Promise() time.Duration { d, _ := days(t.AnswerWithin, 31); return d }

// Describe lists every setting of a tenant.
func Describe() []Description {
	out := make([]Description, len(tenantSettings))
	for i, d := range tenantSettings {
		out[i] = d.Description
	}
	return out
}

// Defaults are the settings of a tenant for which nothing was set.
func Defaults() (t Tenant) {
	for _, d := range tenantSettings {
		d.set(&t, d.Default)
	}
	return t
}

// Tenants keeps the settings of every tenant. It is safe for concurrent use.
type Tenants struct{ meta eventstore.Meta }

// NewTenants keeps settings in meta.
func NewTenants(meta eventstore.Meta) *Tenants { return &Tenants{meta} }

// Get is a tenant's settings. ErrDamaged for a stored value that is not allowed; errors of [eventstore.Meta].
func (a *Tenants) Get(ctx context.Context, tenant eventstore.TenantID) (Tenant, error) {
	rows, err := a.meta.List(ctx, tenant, eventstore.TableSettings)
	if err != nil {
		return Tenant{}, err
	}
	t := Defaults()
	for _, d := range tenantSettings {
		if value, ok := rows[d.Name]; ok && !d.set(&t, string(value)) {
			return Tenant{}, fmt.Errorf("%w: the stored setting %s is not allowed", eventstore.ErrDamaged, d.Name)
		}
	}
	return t, nil
}

// Put changes settings by name; an empty value goes back to the default. All are checked before the first is written. The caller makes the
// ledger entry first. ErrInvalid says what is allowed and never repeats a value.
func (a *Tenants) Put(ctx context.Context, tenant eventstore.TenantID, values map[string]string) error {
	if err := Validate(values); err != nil {
		return err
	}
	for _, d := range tenantSettings { // in one order, so that two callers end in one state
		value, ok := values[d.Name]
		if !ok {
			continue
		}
		var err error
		if value == "" {
			err = a.meta.Delete(ctx, tenant, eventstore.TableSettings, d.Name)
		} else {
			err = a.meta.Put(ctx, tenant, eventstore.TableSettings, d.Name, []byte(value))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Validate says whether [Tenants.Put] would take values, so that nothing is entered in the ledger that cannot be done. ErrInvalid.
func Validate(values map[string]string) error {
	for name := range values {
		if !slices.ContainsFunc(tenantSettings, func(d tenantSetting) bool { return d.Name == name }) {
			return eventstore.Refuse(eventstore.KindInvalid, "", "there is no such setting; there are "+generalNames+", "+privacyNames+", "+doorNames)
		}
	}
	for _, d := range tenantSettings {
		if value := values[d.Name]; value != "" && !d.set(new(Tenant), value) {
			return d.refused
		}
	}
	return nil
}

func isZone(v string) bool {
	if v == "" || v == "Local" || len(v) > 64 {
		return false
	}
	_, err := time.LoadLocation(v)
	return err == nil
}

func isLine(v string) bool {
	return len(v) <= maxText && utf8.ValidString(v) && !strings.ContainsFunc(v, unicode.IsControl)
}

func isContact(v string) bool {
	if !isLine(v) {
		return false
	}
	if strings.HasPrefix(v, "https://") {
		return schemes("https")(v)
	}
	a, err := mail.ParseAddress(v)
	return err == nil && a.Address == v
}
