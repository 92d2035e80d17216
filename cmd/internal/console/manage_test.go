package console

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const figures = `{"projection":"intents","columns":[{"name":"period","type":"text"},{"name":"intent","type":"text"},{"name":"persons","type":"integer"},
	{"name":"uses","type":"integer"},{"name":"confidence_00","type":"integer","group":"confidence"},
	{"name":"confidence_10","type":"integer","group":"confidence"},{"name":"confidence_90","type":"integer","group":"confidence"},{"name":"wait_p95","type":"number"},
	{"name":"status","type":"string"},{"name":"starts","type":"date"}],
	"rows":[["2026-11-22","commande_état",20,40,1,0,4,1.23456,"provisional","2026-11-22"],["2026-11-22","日本\u001b[31m",10,null,null,null,null,null,"provisional","2026-11-22"]],
	"provisional":true,"k":10,"timezone":"Europe/Paris","notes":["fewer than 10 persons: hidden"]}`

func TestStats(t *testing.T) {
	f := newFake(t)
	f.on("GET /v1/stats/intents", 200, figures)
	code, out, err := run(t, "", "stats", "intents", "--by", "week", "--from", "2026-11-01", "--where", "language=fr,be", "--where", "bot=shop")
	if code != Done {
		t.Fatal(code, err)
	}
	wanted := `period      intent         persons  uses  confidence  wait_p95
2026-11-22  commande_état       20    40  1/0/4          1.235
2026-11-22  日本␛[31m           10     –  –                  –
`
	if out != wanted {
		t.Errorf("table:\n%s\nwant:\n%s", out, wanted)
	}
	want(t, "the notes", err, "fewer than 10 persons: hidden", "Europe/Paris")
	want(t, "the URL", f.asked[0], "by=week", "from=2026-11-01", "where=language%3Dfr%2Cbe&where=bot%3Dshop")
	drawn := &bytes.Buffer{}
	e := newEnv(context.Background(), "", Streams{In: strings.NewReader(""), Out: drawn, Err: io.Discard})
	e.outTTY = true
	if code := e.main([]string{"stats", "intents"}); code != Done || !strings.Contains(drawn.String(), "40  ▃·█            1.235  ████████████\n") {
		t.Errorf("on a terminal: %d\n%s", code, drawn)
	}
	if code := e.main([]string{"stats", "intents", "--format", "parquet"}); code != Usage {
		t.Errorf("Parquet on a terminal: exit code %d", code)
	}
	_, out, _ = run(t, "", "stats", "intents", "--format", "json")
	if !json.Valid([]byte(out)) {
		t.Errorf("as JSON: %s", out)
	}
	f.routes["GET /v1/stats/intents"] = func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Header.Get("Accept")+" "+r.URL.Query().Get("format"))
	}
	_, out, _ = run(t, "", "stats", "intents", "--format", "csv")
	want(t, "CSV", out, "text/csv csv")
	_, out, _ = run(t, "", "stats", "intents", "--format", "parquet")
	want(t, "Parquet", out, "application/vnd.apache.parquet parquet")
	f.on("GET /v1/stats", 200, `{"tables":[{"name":"intents","meaning":"what people wanted","columns":[{"name":"uses","type":"integer","meaning":"how often"}]}]}`)
	_, out, _ = run(t, "", "stats")
	want(t, "the dictionary", out, "intents: what people wanted", "uses  integer", "how often")
	if code, _, _ := run(t, "", "stats", "nothing"); code != NotFound {
		t.Errorf("no such table: exit code %d", code)
	}
	if code, _, _ := run(t, "", "stats", "intents", "--by", "year"); code != Usage {
		t.Errorf("--by year: exit code %d", code)
	}
}

func TestSQL(t *testing.T) {
	f := newFake(t)
	f.on("POST /v1/sql", 200, `{"columns":[{"name":"intent","type":"string"},{"name":"n","type":"integer"}],"rows":[["order",5]],"notes":["fewer than 10 persons: hidden"],"k":10}`)
	code, out, errs := run(t, "", "sql", "SELECT 1")
	if code != Done || out != "intent  n\norder   5\n" {
		t.Errorf("%d %q", code, out)
	}
	want(t, "the notes", errs, "fewer than 10 persons: hidden")
	want(t, "what was asked", f.bodies[0], `{"query":"SELECT 1"}`)
	if code, _, _ = run(t, "SELECT 2", "sql", "-", "--json"); code != Done || !strings.Contains(f.bodies[1], "SELECT 2") {
		t.Errorf("%d %q", code, f.bodies)
	}
	f.on("POST /v1/sql", 400, `{"type":"urn:oubli:invalid","detail":"there is no such column","field":"query","line":2,"column":9}`)
	code, _, errs = run(t, "", "sql", "SELECT 1,\n '日本', nothing\x1b FROM intents")
	if code != Usage {
		t.Errorf("exit code %d", code)
	}
	want(t, "where", errs, " '日本', nothing␛ FROM intents\n            ^\n", "line 2, column 9", "there is no such column")
}

func TestTokens(t *testing.T) {
	f := newFake(t)
	token := `{"id":"7Q2M4K","tenant":"default","roles":["bot"],"bot":"shop","owner":"Zoé","created":"2026-11-22T10:00:00Z"`
	f.on("POST /v1/tokens", 201, token+`,"token":"oubli_default_7Q2M4K_secret"}`)
	f.on("GET /v1/tokens", 200, `{"tokens":[`+token+`,"revoked":"2026-11-22T11:00:00Z"},`+token+`,"expires":"2020-01-01T00:00:00Z"}]}`)
	f.on("POST /v1/tokens/7Q2M4K/rotate", 200, token+`,"token":"oubli_default_7Q2M4K_other"}`)
	f.on("POST /v1/tokens/7Q2M4K/revoke", 200, token+`}`)
	code, out, err := run(t, "", "token", "create", "--role", "bot", "--bot", "shop", "--owner", "Zoé", "--expires", "2027-11-30")
	if code != Done || out != "oubli_default_7Q2M4K_secret\n" {
		t.Errorf("exit code %d, %q, %s", code, out, err)
	}
	want(t, "the request", f.bodies[0], `"roles":["bot"]`, `"expires":"2027-12-01T00:00:00Z"`)
	_, out, _ = run(t, "", "token", "list")
	want(t, "the list", out, "Zoé", "revoked", "expired")
	_, out, _ = run(t, "", "token", "list", "--json")
	if n := strings.Count(out, "\n"); n != 2 {
		t.Errorf("%d lines of JSON, want 2: %s", n, out)
	}
	_, out, _ = run(t, "", "token", "rotate", "7Q2M4K")
	want(t, "rotate", out, "_other")
	_, out, _ = run(t, "", "token", "revoke", "7Q2M4K")
	want(t, "revoke", out, "is revoked")
	if code, _, _ := run(t, "", "token", "create", "--role", "king"); code != Usage {
		t.Errorf("no such role: exit code %d", code)
	}
	if code, _, _ := run(t, "", "token", "create", "--role", "bot", "--expires", "soon"); code != Usage {
		t.Errorf("no such day: exit code %d", code)
	}
}

func TestTenants(t *testing.T) {
	f := newFake(t)
	f.on("POST /v1/tenants", 201, `{"tenant":"acme","persons":0}`)
	f.on("GET /v1/tenants", 200, `{"tenants":[{"tenant":"acme","persons":2},{"tenant":"default","persons":12}]}`)
	f.on("GET /v1/settings", 200, `{"timezone":"Europe/Paris","k":10}`)
	var change, tenant string
	f.routes["PUT /v1/settings"] = func(w http.ResponseWriter, r *http.Request) {
		change, tenant = f.bodies[len(f.bodies)-1], r.Header.Get("Oubli-Tenant")
		io.WriteString(w, `{"timezone":"Europe/Rome","k":12}`)
	}
	f.on("POST /v1/tenants/acme/erase", 200, `{"tenant":"acme","erased":"2026-11-22T10:00:00Z"}`)
	_, out, _ := run(t, "", "tenant", "create", "acme")
	want(t, "create", out, "Made tenant acme")
	_, out, _ = run(t, "", "tenant", "list")
	want(t, "list", out, "acme           2\ndefault       12\n")
	_, out, _ = run(t, "", "tenant", "show")
	want(t, "show", out, "timezone  Europe/Paris")
	want(t, "show", out, "SETTING", "MEANING", "the fewest distinct persons")
	file := filepath.Join(t.TempDir(), "notices.json")
	if err := os.WriteFile(file, []byte("[{\"version\":\"v3\",\"text\":\"é\"}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "", "tenant", "set", "notices=@"+file)
	want(t, "the value of a file", change, `"notices":[{"version":"v3","text":"é"}]`)
	if code, _, _ := run(t, "", "tenant", "set", "notices=@"+file+".none"); code != Failed {
		t.Errorf("no file: exit code %d", code)
	}
	_, out, _ = run(t, "", "--tenant", "acme", "tenant", "set", "timezone=Europe/Rome", "k=12", "note=a=b")
	want(t, "set", out, "Europe/Rome")
	want(t, "the change", change, `"timezone":"Europe/Rome"`, `"k":12`, `"note":"a=b"`)
	if tenant != "acme" {
		t.Errorf("tenant %q", tenant)
	}
	if code, _, _ := run(t, "", "tenant", "erase", "acme"); code != Usage {
		t.Errorf("erased without being asked: exit code %d", code)
	}
	_, out, _ = run(t, "", "tenant", "erase", "acme", "--yes")
	want(t, "erase", out, "Erased tenant acme")
	if code, _, _ := run(t, "", "tenant", "set", "nonsense"); code != Usage {
		t.Errorf("no KEY=VALUE: exit code %d", code)
	}
}

func TestLedgerAndStatus(t *testing.T) {
	f := newFake(t)
	f.on("GET /v1/ledger", 200, `{"number":1,"time":"2026-11-22T10:00:00Z","act":"person-erased","token":"7Q","role":"dpo","references":["00","01"],"reason":"other"}`+"\n"+
		`{"number":2,"time":"2026-11-22T10:01:00Z","act":"consent-withdrawn","token":"7Q","role":"bot","references":["00"],"purpose":"analytics"}`+"\n"+
		`{"number":3,"time":"2026-11-22T10:02:00Z","act":"expired","token":"system","before":"2024-11"}`+"\n")
	f.on("GET /v1/vault/status", 200, `{"vault":"abc","tenant":"default","persons":3}`)
	f.on("GET /v1/projections/status", 200, `{"position":9,"committed":10,"lag":1}`)
	_, out, _ := run(t, "", "ledger", "list", "--from", "1")
	want(t, "the ledger", out, "person-erased", "dpo", "      2\n", "  analytics  ", "  before 2024-11")
	_, out, _ = run(t, "", "vault", "status")
	want(t, "the vault", out, "persons  3")
	code, out, _ := run(t, "", "projections", "status", "--json")
	if code != Done || !json.Valid([]byte(out)) {
		t.Errorf("projections: %d %s", code, out)
	}
}
