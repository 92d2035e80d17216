package server

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/ledger"
)

// TestStates: restriction, objection, hold and a withdrawn consent, as bots, support and the data protection officer meet them, with their proof in the ledger.
func TestStates(t *testing.T) {
	w := begin(t, config(t.TempDir()))
	bot, support, dpo := w.token(`{"roles":["bot"],"bot":"shop"}`), w.token(`{"roles":["support"]}`), w.token(`{"roles":["dpo"]}`)
	alice := w.says(bot, "alice@example.com", "hello")
	path := "/v1/persons/" + alice
	message := `{"identity":{"namespace":"email","id":"alice@example.com"},"conversation":"c-alice@example.com","type":"message","author":"user","text":"again"}`
	refused := func(status int, kind, method, path, token, body string) {
		t.Helper()
		if got := w.want(status, method, path, token, body)["type"]; got != "urn:oubli:"+kind {
			t.Errorf("%s %s: %v, want %s", method, path, got, kind)
		}
	}
	if now := w.want(200, "POST", path+"/restrict", support, ""); now["state"] != "restricted" || now["restricted"] != true || now["hold"] != false {
		t.Errorf("restrict: %v", now)
	}
	refused(403, "withheld", "POST", "/v1/events", bot, message)
	refused(403, "withheld", "GET", path+"/events", dpo, "")
	if now := w.want(200, "POST", path+"/unrestrict", support, `{"reason":"person-request"}`); now["state"] != "active" {
		t.Errorf("unrestrict: %v", now)
	}
	w.says(bot, "alice@example.com", "again")
	if now := w.want(200, "POST", path+"/object", support, `{}`); now["state"] != "objected" {
		t.Errorf("object: %v", now)
	}
	w.want(200, "POST", path+"/hold", dpo, `{"reason":"court-order"}`)
	refused(409, "hold", "POST", path+"/erase", dpo, `{"reason":"person-request"}`)
	refused(400, "invalid", "POST", path+"/hold", dpo, `{"reason":"because she asked"}`)
	refused(403, "forbidden", "POST", path+"/hold", bot, "")
	withdrawal := strings.Replace(message, `"type":"message","author":"user","text":"again"`, `"type":"consent","consent":{"purpose":"storage","granted":false}`, 1)
	w.want(201, "POST", "/v1/events", bot, withdrawal)
	refused(403, "consent", "POST", "/v1/events", bot, message)
	if now := w.want(200, "POST", path+"/unhold", dpo, ""); now["hold"] != false || now["objected"] != true {
		t.Errorf("unhold: %v", now)
	}
	_, entries := w.ask("GET", "/v1/ledger", dpo, "", "Accept", "application/x-ndjson")
	at := 0
	for _, act := range []string{"person-restricted", "person-unrestricted", "person-objected", "person-held", "consent-withdrawn", "person-unheld"} {
		next := strings.Index(entries[at:], act)
		if next < 0 {
			t.Fatalf("the ledger has no %s behind the entry before it:\n%s", act, entries)
		}
		at += next
	}
	if !strings.Contains(entries, `"reason":"court-order"`) || !strings.Contains(entries, `"purpose":"storage"`) {
		t.Errorf("the ledger:\n%s", entries)
	}
	w.want(200, "POST", path+"/erase", dpo, `{"reason":"person-request"}`)
	refused(410, "erased", "POST", path+"/restrict", dpo, "")
}

// TestProof: a proof leads from an entry's bytes to a signed checkpoint, and to no other entry's.
func TestProof(t *testing.T) {
	w := begin(t, config(t.TempDir()))
	dpo := w.token(`{"roles":["dpo"]}`)
	p := w.want(200, "GET", "/v1/ledger/proof/1", dpo, "")
	c, err := ledger.OpenCheckpoint([]byte(p["checkpoint"].(string)), p["key"].(string))
	if err != nil || c.Tenant != eventstore.DefaultTenant || c.Size == 0 {
		t.Fatalf("%+v, %v", c, err)
	}
	record, err := base64.StdEncoding.DecodeString(p["record"].(string))
	if err != nil {
		t.Fatal(err)
	}
	var hashes ledger.Proof
	for _, h := range p["hashes"].([]any) {
		b, err := hex.DecodeString(h.(string))
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, [32]byte(b))
	}
	if err := ledger.CheckInclusion(c.Head, 1, record, hashes); err != nil {
		t.Error(err)
	}
	if ledger.CheckInclusion(c.Head, 2, record, hashes) == nil {
		t.Error("the proof proves another number")
	}
	w.want(404, "GET", "/v1/ledger/proof/99999", dpo, "")
	status, note := w.ask("GET", "/v1/ledger/checkpoint", dpo, "")
	if _, err := ledger.OpenCheckpoint([]byte(note), p["key"].(string)); status != 200 || err != nil {
		t.Errorf("the note: %d %q, %v", status, note, err)
	}
}
