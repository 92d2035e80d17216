package endtoend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

// set changes settings of the default tenant.
func (w *world) set(values map[string]any) {
	w.Helper()
	b, err := json.Marshal(values)
	if err != nil {
		w.Fatal(err)
	}
	if status, b := w.do(http.MethodPut, "/v1/settings", "application/json", bytes.NewReader(b)); status != http.StatusOK {
		w.Fatalf("settings: status %d: %s", status, b)
	}
}

func answered(id *eventstore.Identity, purpose string, granted bool) eventstore.Event {
	return eventstore.Event{Identity: id, Conversation: "c-consent", Bot: "shop", Type: eventstore.TypeConsent, Author: eventstore.AuthorUser,
		Consent: &eventstore.Consent{Purpose: purpose, Granted: granted, Method: "button", Source: "widget", Notice: "v3"}}
}

// refused checks that an event is refused for want of consent.
func (w *world) refused(e eventstore.Event) {
	w.Helper()
	if status, b := w.send(e); status != http.StatusForbidden || !bytes.Contains(b, []byte("urn:oubli:consent")) {
		w.Errorf("an event without consent answers %d: %.200s", status, b)
	}
}

// TestConsentBeforeStorage: until consent is given nothing is stored but a counter, also across a restart; a withdrawal ends storage at once, and erases where
// the tenant says so.
func TestConsentBeforeStorage(t *testing.T) {
	w := begin(t)
	alice := identity("email", "alice.consent@example.com")
	w.set(map[string]any{"storage": "after-consent", "purposes": "support:contract, newsletter:consent"})
	w.refused(said(alice, "c-1", "avant tout accord"))
	if p := w.person(*alice); !p.IsZero() {
		t.Error("a refused event made somebody known")
	}
	if _, metrics := w.do(http.MethodGet, "/metrics", "", nil); !bytes.Contains(metrics, []byte(`oubli_consent_refused_total{tenant="default"} 1`)) {
		t.Error("the refusal is not counted")
	}
	if status, b := w.send(answered(alice, "support", true)); status != http.StatusBadRequest {
		t.Errorf("consent for a contract's purpose answers %d: %s", status, b)
	}
	w.append(answered(alice, "newsletter", true))
	w.refused(said(alice, "c-1", "un autre accord"))
	w.append(answered(alice, "storage", true))
	w.append(said(alice, "c-1", "après l'accord"))
	w.stop()
	w.start()
	w.append(said(alice, "c-1", "après un redémarrage"))
	w.refused(said(identity("email", "bob.consent@example.com"), "c-2", "le réglage reste"))

	w.append(answered(alice, "storage", false))
	w.refused(said(alice, "c-1", "après le retrait"))
	p := w.person(*alice)
	if n := len(w.events(p)); n != 5 {
		t.Errorf("%d events are stored, want 5", n)
	}
	w.set(map[string]any{"withdrawal": "erase"})
	w.append(answered(alice, "storage", true))
	w.append(answered(alice, "storage", false))
	if status := w.status(p); status != http.StatusGone {
		t.Errorf("after a withdrawal that erases: status %d", status)
	}
	if _, b := w.do(http.MethodGet, "/v1/erasures", "", nil); !bytes.Contains(b, []byte(`"consent-withdrawn"`)) {
		t.Errorf("the erasure says %.300s", b)
	}
}

// TestWithdrawalIsLinearized: of appends that run beside a withdrawal, none that begins after its answer is taken, and what was taken is all there is.
func TestWithdrawalIsLinearized(t *testing.T) {
	w := begin(t)
	for round := range 5 {
		who := identity("web", fmt.Sprint("visitor-", round))
		w.append(answered(who, "storage", true))
		var withdrawn atomic.Bool
		var accepted atomic.Int64
		var all sync.WaitGroup
		started := make(chan struct{}, 4)
		for lane := range 4 {
			all.Go(func() {
				late := 0
				for n := 0; late < 3; n++ {
					after := withdrawn.Load()
					status, b := w.send(said(who, "c", fmt.Sprint("message ", lane, " ", n)))
					if n == 0 {
						started <- struct{}{}
					}
					switch {
					case status == http.StatusCreated && after:
						t.Errorf("an event that began after the withdrawal's answer was taken")
					case status == http.StatusCreated:
						accepted.Add(1)
					case status != http.StatusForbidden:
						t.Errorf("status %d: %.200s", status, b)
					}
					if after {
						late++
					}
				}
			})
		}
		for range 4 {
			<-started
		}
		w.append(answered(who, "storage", false))
		withdrawn.Store(true)
		all.Wait()
		if n := int64(len(w.events(w.person(*who)))); n != accepted.Load()+2 {
			t.Errorf("%d events are stored, %d messages were taken", n, accepted.Load())
		}
	}
}

// TestMaskedNowhere: with every rule on, what is masked stands nowhere: not in a file, not in the log, not even sealed, as what is read back shows.
func TestMaskedNowhere(t *testing.T) {
	w := begin(t)
	w.set(map[string]any{"mask_card": "mask", "mask_iban": "mask", "mask_nir": "mask", "mask_email": "mask", "mask_phone": "mask", "mask_siret": "mask", "mask_ip": "mask",
		"keep_data": "order", "keep_entities": "name, order", "keep_fields": "text, entities, slot, handoff, data"})
	secrets := []string{"4111 1111 1111 1111", "FR14 2004 1010 0505 0001 3M02 606", "1 84 12 76 451 089 46", "marie.dupont@example.org", "06 12 34 56 78", "+44 20 7946 0958",
		"732 829 320 00074", "203.0.113.195", "2001:db8:85a3::8a2e:370:7334", "Marguerite Delacroix"}
	n := needles{}
	n.add(secrets...)
	n.add("secret-of-a-dropped-key", "secret-of-a-channel")
	who := identity("web", "visitor-of-masks")
	for i, s := range secrets {
		text := "😀 Voilà : " + s + ", merci."
		e := said(who, "c-masks", text)
		e.Channel = "secret-of-a-channel"
		e.Data = json.RawMessage(fmt.Sprintf(`{"order":%q,"note":"secret-of-a-dropped-key"}`, s))
		start := len([]rune("😀 Voilà : "))
		e.Entities = []eventstore.Entity{{Type: "name", Value: s, Start: start, End: start + len([]rune(s)), Sensitive: i == len(secrets)-1}}
		w.append(e)
		e = said(who, "c-masks", "transfert")
		e.Type, e.Handoff = eventstore.TypeHandoff, &eventstore.Handoff{To: "billing", Reason: s}
		w.append(e)
	}
	base := "/v1/persons/" + w.person(*who).String()
	for _, path := range []string{base + "/events", base + "/export"} {
		status, b := w.do(http.MethodGet, path, "", nil)
		if status != http.StatusOK || !bytes.Contains(b, []byte("[card]")) || !bytes.Contains(b, []byte("[name]")) {
			t.Errorf("%s: %d: %.300s", path, status, b)
		}
		n.mustNotStandIn(t, "what is read back", b)
		for _, s := range secrets {
			if compact := strings.ReplaceAll(s, " ", ""); bytes.Contains(bytes.ReplaceAll(b, []byte(" "), nil), []byte(compact)) {
				t.Errorf("%.4q… is read back", s)
			}
		}
	}
	w.files(n, "while the server runs")
	w.stop()
	w.files(n, "after the server")
	n.mustNotStandIn(t, "the log", w.log.Bytes())
}

// TestPseudonymsGoWithThePerson: two recipients cannot join theirs; after an erasure nobody can make one again, and who comes back has others.
func TestPseudonymsGoWithThePerson(t *testing.T) {
	w := begin(t)
	who := identity("email", "pseudo.alice@example.com")
	w.append(said(who, "c", "bonjour"))
	ask := func(recipient string) string {
		return post[struct{ Pseudonym string }](w, "/v1/pseudonyms", map[string]any{"identity": who, "recipient": recipient}).Pseudonym
	}
	nlu, translator := ask("nlu"), ask("translator")
	if nlu == translator || nlu != ask("nlu") || len(nlu) != 32 {
		t.Errorf("%q for one recipient, %q for the other", nlu, translator)
	}
	w.stop()
	w.start()
	if ask("nlu") != nlu {
		t.Error("a restart changes a pseudonym")
	}
	w.erase(w.person(*who))
	if status, _ := w.sendJSON("/v1/pseudonyms", map[string]any{"identity": who, "recipient": "nlu"}); status != http.StatusNotFound && status != http.StatusGone {
		t.Errorf("after the erasure: status %d", status)
	}
	w.append(said(who, "c", "me revoilà"))
	if ask("nlu") == nlu {
		t.Error("an erased person's pseudonym comes back")
	}
}
