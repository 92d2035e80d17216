package settings

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/door"
)

// Basis is the legal basis of a purpose (Art. 6(1) GDPR).
type Basis string

// The legal bases, as the letters of Art. 6(1) order them.
const (
	BasisConsent             Basis = "consent"
	BasisContract            Basis = "contract"
	BasisLegalObligation     Basis = "legal-obligation"
	BasisVitalInterests      Basis = "vital-interests"
	BasisPublicTask          Basis = "public-task"
	BasisLegitimateInterests Basis = "legitimate-interests"
)

// bases lists them.
const bases = "consent, contract, legal-obligation, vital-interests, public-task or legitimate-interests"

func isBasis(b Basis) bool {
	return slices.Contains([]Basis{BasisConsent, BasisContract, BasisLegalObligation, BasisVitalInterests, BasisPublicTask, BasisLegitimateInterests}, b)
}

// Purpose is what personal data is used for, and on what legal basis.
type Purpose struct {
	Name  string `json:"name"`
	Basis Basis  `json:"basis" enum:"consent,contract,legal-obligation,vital-interests,public-task,legitimate-interests"`
}

// NoticeText is what people are shown, in one language of one version.
type NoticeText struct {
	Version  string `json:"version"`
	Language string `json:"language"`
	Text     string `json:"text"`
}

// Privacy is what a tenant tells people.
type Privacy struct {
	// Purposes are a list of name:basis, Recipients of names.
	Purposes   string `json:"purposes"`
	Recipients string `json:"recipients"`
	// Notices are JSON, a list of [NoticeText].
	Notices string `json:"notices"`
	// Place is where the data is declared to be kept.
	Place string `json:"place"`
}

const (
	maxNotices    = 64 << 10
	maxNoticeText = 16 << 10
	maxLanguage   = 35 // BCP 47
)

// PurposeList is Purposes, read.
func (p Privacy) PurposeList() []Purpose {
	out, _ := purposes(p.Purposes)
	return out
}

// RecipientList is Recipients, read.
func (p Privacy) RecipientList() []string {
	names, _ := list(p.Recipients)
	return names
}

// NoticeList is Notices, read.
func (p Privacy) NoticeList() []NoticeText {
	out, _ := notices(p.Notices)
	return out
}

// purposeAnalytics is the purpose of being counted in statistics: a person can always refuse it.
const purposeAnalytics = "analytics"

// consentPurposes are those that a person can consent to: nil while a tenant names no purpose at all.
func (t Tenant) consentPurposes() (out []string) {
	all := t.PurposeList()
	if len(all) == 0 {
		return nil
	}
	out = append(out, door.PurposeStorage, purposeAnalytics)
	for _, p := range all {
		if p.Basis == BasisConsent && !slices.Contains(out, p.Name) {
			out = append(out, p.Name)
		}
	}
	return out
}

func purposes(v string) (out []Purpose, ok bool) {
	all, ok := list(v)
	for _, part := range all {
		name, basis, cut := strings.Cut(part, ":")
		p := Purpose{strings.TrimSpace(name), Basis(strings.TrimSpace(basis))}
		if !cut || !eventstore.ValidPurpose(p.Name) || !isBasis(p.Basis) || slices.ContainsFunc(out, func(o Purpose) bool { return o.Name == p.Name }) {
			return nil, false
		}
		out = append(out, p)
	}
	return out, ok
}

func notices(v string) (out []NoticeText, ok bool) {
	if v == "" {
		return nil, true
	}
	if len(v) > maxNotices || !utf8.ValidString(v) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader([]byte(v)))
	d.DisallowUnknownFields()
	if d.Decode(&out) != nil || len(out) == 0 || len(out) > maxList {
		return nil, false
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, false
	}
	type edition struct{ version, language string }
	seen := map[edition]bool{}
	for _, n := range out {
		e := edition{n.Version, n.Language}
		if !n.valid() || seen[e] {
			return nil, false
		}
		seen[e] = true
	}
	return out, true
}

func (n NoticeText) valid() bool {
	return n.Version != "" && len(n.Version) <= eventstore.MaxName && isLine(n.Version) &&
		n.Language != "" && len(n.Language) <= maxLanguage && !strings.ContainsFunc(n.Language, notOfLanguage) &&
		strings.TrimSpace(n.Text) != "" && len(n.Text) <= maxNoticeText
}

func notOfLanguage(r rune) bool {
	return r != '-' && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
}

const privacyNames = "purposes, recipients, notices, place"

var privacySettings = []tenantSetting{
	chosen(Description{"purposes", "", "a list of name:basis, separated by commas; a basis is " + bases, "what the data is used for, and on what legal basis; consent can be given for those with the basis consent, for storage and for analytics (empty: for any)"},
		eventstore.Refuse(eventstore.KindInvalid, "purposes", "purposes are a list of name:basis, such as support:contract, analytics:consent; a name is a lower-case letter followed by at most 31 letters, digits, hyphens or underscores, a basis is "+bases),
		func(v string) bool { _, ok := purposes(v); return ok }, func(t *Tenant) *string { return &t.Purposes }),
	chosen(Description{"recipients", "", "at most 64 names, separated by commas or line ends", "who else gets personal data (processors, providers), as people are told; pseudonyms are made for these only (empty: for any)"},
		eventstore.Refuse(eventstore.KindInvalid, "recipients", "recipients are at most 64 different names, separated by commas or line ends"),
		func(v string) bool { _, ok := list(v); return ok }, func(t *Tenant) *string { return &t.Recipients }),
	chosen(Description{"notices", "", `JSON: a list of {"version", "language", "text"}, at most 64 KiB`, "the texts that bots show to people, by version and language"},
		eventstore.Refuse(eventstore.KindInvalid, "notices", `notices are JSON, a list of at most 64 {"version": "v3", "language": "fr", "text": "…"}, each version and language once, a text at most 16 KiB, at most 64 KiB together`),
		func(v string) bool { _, ok := notices(v); return ok }, func(t *Tenant) *string { return &t.Notices }),
	chosen(Description{"place", "", "one line of at most 500 bytes", "where the data is declared to be kept, as people are told"},
		eventstore.Refuse(eventstore.KindInvalid, "place", "the place is one line of at most 500 bytes"),
		isLine, func(t *Tenant) *string { return &t.Place }),
}
