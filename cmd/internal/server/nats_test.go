package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/streams/natsembed"
	"github.com/oubli-store/oubli/streams/natsembed/natscluster"
)

// TestNATSService: a bot appends over NATS with its token, and with nothing else.
func TestNATSService(t *testing.T) {
	c := config(t.TempDir())
	c.NATSListen = "127.0.0.1:0"
	w := begin(t, c)
	token := w.token(`{"roles":["bot"],"bot":"shop"}`)
	for _, wrong := range []string{"", "x", w.token(`{"roles":["dpo"]}`), token[:len(token)-1] + "x"} {
		if nc, err := nats.Connect(w.NATSURL(), nats.Token(wrong)); err == nil {
			nc.Close()
			t.Error("a stranger was let in")
		}
	}
	nc, err := nats.Connect(w.NATSURL(), nats.Token(token), nats.CustomInboxPrefix("_INBOX."+strings.Split(token, "_")[2]))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	request := func(authorization, body string) *nats.Msg {
		t.Helper()
		m, err := nc.RequestMsg(&nats.Msg{Subject: AppendSubject, Data: []byte(body), Header: nats.Header{"Authorization": {authorization}}}, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	var receipt eventstore.Receipt
	m := request("Bearer "+token, `{"identity":{"namespace":"email","id":"alice@example.com"},"conversation":"c","type":"message","author":"user","text":"over NATS"}`)
	if err := json.Unmarshal(m.Data, &receipt); err != nil || receipt.Sequence == 0 || m.Header.Get("Nats-Service-Error-Code") != "" {
		t.Fatalf("%s %v", m.Data, err)
	}
	if _, text := w.ask("GET", "/v1/persons/"+receipt.Person.String()+"/events", w.admin, ""); !strings.Contains(text, "over NATS") {
		t.Errorf("%s", text)
	}
	for _, test := range []struct{ authorization, body, code, kind string }{
		{"", `{"conversation":"c","type":"message"}`, "401", "unauthenticated"},
		{"Bearer " + w.admin + "x", `{"conversation":"c","type":"message"}`, "401", "unauthenticated"},
		{"Bearer " + token, `{"Zanzibar":1}`, "400", "invalid"},
		{"Bearer " + token, strings.Repeat("x", eventstore.MaxEvent+1), "413", "too-large"},
	} {
		m := request(test.authorization, test.body)
		if m.Header.Get("Nats-Service-Error-Code") != test.code || !strings.Contains(string(m.Data), `"urn:oubli:`+test.kind+`"`) || strings.Contains(string(m.Data), "Zanzibar") {
			t.Errorf("%v %s", m.Header, m.Data)
		}
	}
	var id struct{ ID string }
	for _, tokens := range w.want(200, "GET", "/v1/tokens", w.admin, "")["tokens"].([]any) {
		if tokens.(map[string]any)["bot"] == "shop" {
			id.ID = tokens.(map[string]any)["id"].(string)
		}
	}
	w.want(200, "POST", "/v1/tokens/"+id.ID+"/revoke", w.admin, "")
	if m := request("Bearer "+token, `{"conversation":"c","type":"message"}`); m.Header.Get("Nats-Service-Error-Code") != "401" {
		t.Errorf("a revoked token: %v", m.Header)
	}
	if err := nc.Publish("conv.default.x", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	w.says(w.admin2(), "bob@example.com", "the streams go on")
}

// TestNoPort: without --nats-listen there is no way in over NATS.
func TestNoPort(t *testing.T) {
	w := begin(t, config(t.TempDir()))
	if url := w.NATSURL(); url != "" {
		t.Errorf("NATS listens at %s", url)
	}
}

// TestExternalNATS: the streams live on a server of its own, and the directory has none.
func TestExternalNATS(t *testing.T) {
	n, err := natsembed.Start(t.Context(), natsembed.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Token: "sesame"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Stop(t.Context()) })
	c := config(t.TempDir())
	c.NATS = strings.Replace(n.URL(), "nats://", "nats://sesame@", 1)
	for _, text := range []string{"first", "second"} { // the second after a restart
		w := begin(t, c)
		person := w.says(w.admin2(), "alice@example.com", text)
		if _, events := w.ask("GET", "/v1/persons/"+person+"/events", w.admin, ""); !strings.Contains(events, "first") || !strings.Contains(events, text) {
			t.Errorf("%s", events)
		}
		if strings.Contains(w.log.String(), "sesame") {
			t.Errorf("the log shows the password of NATS: %s", w.log)
		}
		w.end()
	}
	c.NATS = "nats://127.0.0.1:1"
	if _, err := Start(t.Context(), c); err == nil || !strings.Contains(err.Error(), "NATS") {
		t.Errorf("%v", err)
	}
}

// TestNATSCluster: the streams live on a cluster of three servers, with the journal on and then off; one of the servers is killed in between.
func TestNATSCluster(t *testing.T) {
	cluster := natscluster.Start(t, 3)
	c := config(t.TempDir())
	c.NATS, c.NATSReplicas = cluster.URL(), "3"
	for i, journal := range []string{"on", "off", "on"} {
		c.Journal = journal
		w := begin(t, c)
		text := fmt.Sprintf("said in turn %d", i)
		person := w.says(w.admin2(), "alice@example.com", text)
		if _, events := w.ask("GET", "/v1/persons/"+person+"/events", w.admin, ""); strings.Count(events, "said in turn") != i+1 || !strings.Contains(events, text) {
			t.Errorf("turn %d: %s", i, events)
		}
		if means := w.log.String(); !strings.Contains(means, `"replicas":3`) || strings.Contains(means, "is not waited for") != (journal == "off") {
			t.Errorf("the log does not say what an answer means: %s", means)
		}
		if i == 0 {
			cluster.Kill(cluster.Leader("CONV_default"))
			body := `{"id":"once","identity":{"namespace":"email","id":"bob@example.com"},"conversation":"c","type":"message","bot":"shop","author":"user","text":"two are left"}`
			for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
				status, text := w.ask("POST", "/v1/events", w.admin2(), body)
				if status == 201 {
					break
				}
				if status != 503 || time.Now().After(deadline) {
					t.Fatalf("with two of three servers: %d %s", status, text)
				}
			}
		}
		w.end()
	}
	c.Journal, c.NATSReplicas = "off", "1"
	if _, err := Start(t.Context(), c); err == nil || !strings.Contains(err.Error(), "the journal cannot be off") {
		t.Errorf("%v", err)
	}
}
