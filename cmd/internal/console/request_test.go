package console

import (
	"strings"
	"testing"
)

const aRequest = `{"request":"01KANMD3T8V4M1TQ3B3E7XJ0ZC","kind":"erasure","person":"` + alice + `","filed_by":"bot","received":"2026-11-01T10:00:00Z","due":"2026-11-16T10:00:00Z",
	"latest":"2026-12-01T10:00:00Z","overdue":true,"waiting":"hold","stages":{"received":"2026-11-01T10:00:00Z","verified":"2026-11-02T10:00:00Z"}}`

func TestRequests(t *testing.T) {
	f := newFake(t)
	f.on("GET /v1/requests", 200, `{"requests":[`+aRequest+`]}`)
	f.on("GET /v1/requests/01KANMD3T8V4M1TQ3B3E7XJ0ZC", 200, aRequest)
	f.on("POST /v1/requests", 200, aRequest)
	f.on("POST /v1/requests/01KANMD3T8V4M1TQ3B3E7XJ0ZC/decide", 200, aRequest)
	code, out, _ := run(t, "", "request", "list")
	if code != Done {
		t.Errorf("exit code %d", code)
	}
	want(t, "the list", out, "REQUEST", "erasure", "2026-11-16 OVERDUE", "waits for the end of a legal hold")
	_, out, _ = run(t, "", "request", "show", "01KANMD3T8V4M1TQ3B3E7XJ0ZC")
	want(t, "one request", out, alice, "2026-12-01", "identity verified")
	for last, args := range map[string]string{
		`"kind":"erasure"`:         "request add --kind erasure --identity email:alice@example.com",
		`{"decision":"verify"}`:    "request decide 01KANMD3T8V4M1TQ3B3E7XJ0ZC --verify",
		`"reason":"excessive"`:     "request decide 01KANMD3T8V4M1TQ3B3E7XJ0ZC --refuse excessive",
		`{"decision":"withdraw"}`:  "request decide 01KANMD3T8V4M1TQ3B3E7XJ0ZC --withdraw",
		`{"decision":"approve"}`:   "request decide 01KANMD3T8V4M1TQ3B3E7XJ0ZC --approve",
		`"id":"alice@example.com"`: "request add --kind access --identity email:alice@example.com --verified",
		`"person":"` + alice + `"`: "request add --kind objection --person " + alice,
	} {
		if code, _, err := run(t, "", strings.Fields(args)...); code != Done || !strings.Contains(f.bodies[len(f.bodies)-1], last) {
			t.Errorf("%s: exit code %d, %s; sent %s", args, code, err, f.bodies[len(f.bodies)-1])
		}
	}
	if code, _, _ := run(t, "", "request", "decide", "01KANMD3T8V4M1TQ3B3E7XJ0ZC"); code != Usage {
		t.Errorf("no decision: exit code %d", code)
	}
	t.Setenv("OUBLI_LANG", "fr")
	_, out, _ = run(t, "", "request", "list")
	want(t, "en français", out, "DEMANDE", "effacement", "EN RETARD")
}
