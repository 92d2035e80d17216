package endtoend

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/sample"
	"github.com/oubli-store/oubli/streams/natsembed"
)

// needles finds any of many secrets in bytes: by their first 8 bytes, then whole. Short ones, such as the word "location", are left out: they are
// found by chance.
type needles map[uint64][]string

const needlePrefix, shortestNeedle = 8, 12

func (n needles) add(secrets ...string) {
	for _, s := range secrets {
		if len(s) < shortestNeedle {
			continue
		}
		k := binary.LittleEndian.Uint64([]byte(s))
		n[k] = append(n[k], s)
	}
}

// find returns the first secret that stands in b.
func (n needles) find(b []byte) (string, bool) {
	for i := 0; i+needlePrefix <= len(b); i++ {
		for _, s := range n[binary.LittleEndian.Uint64(b[i:])] {
			if bytes.HasPrefix(b[i:], []byte(s)) {
				return s, true
			}
		}
	}
	return "", false
}

func (n needles) mustNotStandIn(t *testing.T, where string, b []byte) {
	t.Helper()
	if s, found := n.find(b); found {
		t.Errorf("%s holds something personal in clear: %.40q", where, s)
	}
}

// TestNeedles: the search would find what it looks for.
func TestNeedles(t *testing.T) {
	n := needles{}
	n.add("alice@example.com", "short", "où est ma commande ?")
	for _, b := range []string{"xxalice@example.com", "où est ma commande ?", "\x00\x00où est ma commande ?\x00"} {
		if _, found := n.find([]byte(b)); !found {
			t.Errorf("nothing is found in %q", b)
		}
	}
	if s, found := n.find([]byte("alice@example.org and short things")); found {
		t.Errorf("%q is found where it is not", s)
	}
}

// TestNothingPersonalInClear takes real and sample conversations through the whole program, bad input and an erasure included, and then searches
// everything that it wrote or said for texts, handles, conversation ids and idempotency keys.
func TestNothingPersonalInClear(t *testing.T) {
	w := begin(t)
	n := needles{}
	w.sampleEvents(n)
	if !t.Failed() {
		w.realEvents(n)
	}
	w.badInput(n)
	w.useEverything()

	_, metrics := w.do(http.MethodGet, "/metrics", "", nil)
	if len(metrics) == 0 {
		t.Error("there are no metrics")
	}
	n.mustNotStandIn(t, "the metrics", metrics)
	w.files(n, "while the server runs")
	w.stop()
	n.mustNotStandIn(t, "the log", w.log.Bytes())
	n.mustNotStandIn(t, "an error answer", w.errors.Bytes())
	if len(w.log.Bytes()) == 0 || len(w.errors.Bytes()) == 0 {
		t.Error("there is no log, or no error answer, to search")
	}
	w.files(n, "after the server")
	w.subjectsAndHeaders(n)
}

// sampleEvents sends sample conversations.
func (w *world) sampleEvents(n needles) {
	w.Helper()
	var b bytes.Buffer
	count := 0
	for e := range sample.New(sample.Options{Persons: 200}).Events() {
		line, err := json.Marshal(e)
		if err != nil {
			w.Fatal(err)
		}
		b.Write(append(line, '\n'))
		n.add(e.Text, string(e.Conversation), e.Key)
		for _, id := range append(e.Also, *e.Identity) {
			n.add(id.Namespace+":"+id.ID, id.ID)
		}
		if count++; count == 2000 {
			break
		}
	}
	if count == 0 {
		w.Fatal("there are no sample events")
	}
	if status, body := w.do(http.MethodPost, "/v1/events", "application/x-ndjson", &b); status != http.StatusOK || bytes.Contains(body, []byte(`"error"`)) {
		w.Fatalf("sample events: status %d: %.300s", status, body)
	}
}

// realEvents imports the real data, where it is present.
func (w *world) realEvents(n needles) {
	w.T.Helper()
	if !haveRealData() {
		w.Log("without the real conversations")
		return
	}
	for _, s := range sources(w.T) {
		if s.format == "oubli" {
			s.native(w.T)
		}
		n.add(s.secrets...)
		w.imports(s)
	}
}

// badInput sends secrets where they do not belong, so that every kind of refusal sees one.
func (w *world) badInput(n needles) {
	w.Helper()
	const secret = "geheim-secret-Wort-4711"
	n.add(secret)
	send := func(path, contentType, body string) {
		status, b := w.do(http.MethodPost, path, contentType, strings.NewReader(body))
		if status < 400 && !bytes.Contains(b, []byte(`"error"`)) && !bytes.Contains(b, []byte(`"refused"`)) {
			w.Errorf("bad input is taken with status %d", status)
		}
		n.mustNotStandIn(w.T, "the answer to bad input", b)
	}
	good := `"bot":"shop","conversation":"` + secret + `","type":"message","author":"user","text":"` + secret + `"`
	for _, body := range []string{
		secret, `{"` + secret + `":1,` + good + `}`, `{` + good + `,"time":"` + secret + `"}`, `{` + good + `,"feedback":"` + secret + `"}`,
		`{"conversation":"c","type":"` + secret + `"}`, `{` + good + `,"author":"` + secret + `"}`, `{` + good + "\x00}",
		`{` + good + `,"identity":{"namespace":"` + secret + ` X","id":"` + secret + `"}}`,
		`{` + good + `,"identity":{"namespace":"phone","id":"` + secret + `"}}`,
		`{` + good + `,"intent":{"name":"` + secret + `","confidence":7}}`, `{` + good + `,"data":{"x":"` + strings.Repeat(secret, 5000) + `"}}`,
	} {
		send("/v1/events", "application/json", body)
		send("/v1/events", "application/x-ndjson", body+"\n")
		for _, format := range []string{"rasa", "botframework", "openai", "oubli", "cdr", "cloudevents", "mail"} {
			send("/v1/import/"+format+"?keep_old=true", "application/json", body)
		}
		send("/v1/persons/lookup", "application/json", body)
		send("/v1/conversations/read", "application/json", body)
		send("/v1/tokens", "application/json", body)
		send("/v1/tenants", "application/json", body)
	}
	send("/v1/events/"+secret, "application/json", "{}")
	send("/v1/persons/"+secret+"/erase", "application/json", "{}")
	for _, path := range []string{"/v1/persons/" + secret, "/v1/stats/" + secret, "/v1/stats/activity?where=" + secret + "%3D1", "/v1/stats/activity?from=" + secret,
		"/v1/stats/activity?" + secret + "=1", "/v1/erasures/" + secret, "/" + secret} {
		status, b := w.do(http.MethodGet, path, "", nil)
		if status < 400 {
			w.Errorf("a bad request is answered with status %d", status)
		}
		n.mustNotStandIn(w.T, "the answer to a bad request", b)
	}
	key := `{"id":"` + secret + `-1",` + good
	if status, _ := w.do(http.MethodPost, "/v1/events", "application/json", strings.NewReader(key+`}`)); status != http.StatusCreated {
		w.Errorf("a good event answers %d", status)
	}
	if status, _ := w.do(http.MethodPost, "/v1/events", "application/json", strings.NewReader(key+`,"language":"fr"}`)); status != http.StatusConflict {
		w.Errorf("another body under the same key answers %d, want 409", status)
	}
}

// useEverything reads, exports and erases, and asks for figures.
func (w *world) useEverything() {
	w.Helper()
	demo := sample.New(sample.Options{Persons: 200}).Demo()
	var p eventstore.PersonID
	for _, id := range demo.Identities {
		if p = w.person(id); !p.IsZero() {
			break
		}
	}
	if p.IsZero() {
		p = w.append(said(identity("email", "zoe.unique@example.com"), "c-zoe", "Une phrase de Zoé, à oublier.")).Person
	}
	base := "/v1/persons/" + p.String()
	for _, path := range []string{base, base + "/events", base + "/export", "/v1/stats", "/v1/stats/activity", "/v1/stats/intents", "/v1/ledger",
		"/v1/vault/status", "/v1/projections/status", "/v1/settings", "/v1/tokens", "/v1/tenants", "/readyz", "/openapi.json"} {
		if status, b := w.do(http.MethodGet, path, "", nil); status != http.StatusOK {
			w.Errorf("GET %s: %d: %.200s", path, status, b)
		}
	}
	w.erase(p)
	for _, path := range []string{base, base + "/events", base + "/export"} {
		if status, _ := w.do(http.MethodGet, path, "", nil); status != http.StatusGone {
			w.Errorf("an erased person answers %d", status)
		}
	}
}

// files searches every file below the data directory, and the names of all of them.
func (w *world) files(n needles, when string) {
	w.Helper()
	count := 0
	err := filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) {
				return nil // deleted meanwhile
			}
			return err
		}
		name, _ := filepath.Rel(w.dir, path)
		n.mustNotStandIn(w.T, "a file name "+when, []byte(name))
		if !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		count++
		n.mustNotStandIn(w.T, name+" "+when, b)
		return nil
	})
	if err != nil || count < 10 {
		w.Errorf("%d files were searched %s: %v", count, when, err)
	}
}

// subjectsAndHeaders searches what every message of every stream shows beside its payload, and the streams' own settings.
func (w *world) subjectsAndHeaders(n needles) {
	w.Helper()
	s, err := natsembed.Start(w.Context(), natsembed.Config{Dir: filepath.Join(w.dir, "nats")})
	if err != nil {
		w.Fatal(err)
	}
	defer func() {
		if err := s.Stop(context.Background()); err != nil {
			w.Error(err)
		}
	}()
	conn, err := s.Connect()
	if err != nil {
		w.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		w.Fatal(err)
	}
	total := 0
	list := js.ListStreams(w.Context())
	var infos []*jetstream.StreamInfo
	for info := range list.Info() {
		infos = append(infos, info)
	}
	for _, info := range infos {
		settings, err := json.Marshal(info)
		if err != nil {
			w.Fatal(err)
		}
		n.mustNotStandIn(w.T, "the settings of a stream", settings)
		stream, err := js.Stream(w.Context(), info.Config.Name)
		if err != nil {
			w.Fatal(err)
		}
		for seq := info.State.FirstSeq; seq <= info.State.LastSeq && info.State.Msgs > 0; seq++ {
			m, err := stream.GetMsg(w.Context(), seq)
			if err == nil {
				total++
				n.mustNotStandIn(w.T, "a subject", []byte(m.Subject))
				n.mustNotStandIn(w.T, "a header", headerBytes(m.Header))
				n.mustNotStandIn(w.T, "a payload", m.Data)
			}
		}
	}
	if list.Err() != nil || total < 2000 {
		w.Errorf("%d messages were searched: %v", total, list.Err())
	}
}

func headerBytes(h nats.Header) []byte {
	var b bytes.Buffer
	for k, vs := range h {
		b.WriteString(k + ": " + strings.Join(vs, ", ") + "\n")
	}
	return b.Bytes()
}
