package console

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

func eraseRoutes(f *fake) (erasures *int) {
	erasures = new(int)
	preview := `{"preview":{"person":"` + alice + `","persons":["` + alice + `"],"events":3,"first":"2026-11-01T10:00:00Z","last":"2026-11-22T10:00:00Z","channels":["web"],"handles":["email:a…@e…"],"holds":HOLDS}}`
	done := `{"erasure":"01KERASURE","person":"` + alice + `","persons":["` + alice + `"],"reason":"person-request","stages":{"requested":"2026-11-22T10:00:00Z","fenced":"2026-11-22T10:00:00Z","shredded":"2026-11-22T10:00:01Z"}}`
	for person, holds := range map[string]string{alice: "0", onHold: "1"} {
		f.routes["POST /v1/persons/"+person+"/erase"] = func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(f.bodies[len(f.bodies)-1], `"dry_run":true`) {
				io.WriteString(w, strings.Replace(preview, "HOLDS", holds, 1))
				return
			}
			*erasures++
			if holds != "0" {
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(http.StatusConflict)
				io.WriteString(w, problemDoc("hold", "a legal hold forbids this erasure; the request waits in the register"))
				return
			}
			io.WriteString(w, done)
		}
	}
	f.on("GET /v1/erasures", 200, `{"erasures":[`+done+`]}`)
	f.on("GET /v1/erasures/01KERASURE", 200, done)
	return erasures
}

func TestEraseShowsAndAsks(t *testing.T) {
	f := newFake(t)
	erasures := eraseRoutes(f)
	args := []string{"person", "erase", "--identity", "email:alice@example.com", "--reason", "person-request"}
	if code, _, _ := run(t, "yes\n", args...); code != Usage || *erasures != 0 {
		t.Errorf("without a terminal: exit code %d, %d erasures", code, *erasures)
	}
	code, out, _ := run(t, "", append(args, "--dry-run")...)
	if code != Done || *erasures != 0 {
		t.Errorf("dry run: exit code %d, %d erasures", code, *erasures)
	}
	want(t, "the dry run", out, "3, from 2026-11-01 10:00:00 to 2026-11-22 10:00:00", "email:a…@e…", "legal holds  none")
	code, out, err := run(t, "", append(args, "--yes", "--ticket", "T-1")...)
	if code != Done || *erasures != 1 {
		t.Errorf("exit code %d, %d erasures", code, *erasures)
	}
	want(t, "the answer", out, "Erased.", "01KERASURE", "2026-11-22 10:00:01  shredded", "not yet              completed")
	want(t, "the notes", err, "This would be erased", "oubli erasure show 01KERASURE")
	want(t, "the request", f.bodies[len(f.bodies)-1], `"ticket":"T-1"`, `"reason":"person-request"`)
}

// TestEraseOnATerminal plays the terminal, which a test does not have.
func TestEraseOnATerminal(t *testing.T) {
	for answer, wanted := range map[string]int{"yes\n": Done, "YES\n": Done, "no\n": Failed, "": Failed, "y\n": Failed} {
		f := newFake(t)
		erasures := eraseRoutes(f)
		var out, errs bytes.Buffer
		e := newEnv(t.Context(), "test", Streams{In: strings.NewReader("email:alice@example.com\n" + answer), Out: &out, Err: &errs})
		e.inTTY = true
		code := e.main([]string{"person", "erase", "--identity", "-", "--reason", "person-request"})
		if code != wanted || (*erasures == 1) != (wanted == Done) {
			t.Errorf("answer %q: exit code %d, %d erasures", answer, code, *erasures)
		}
		want(t, "the dialogue", errs.String(), "Handle (for example", "Type yes: ")
	}
}

func TestEraseOnHold(t *testing.T) {
	f := newFake(t)
	erasures := eraseRoutes(f)
	code, _, err := run(t, "", "person", "erase", "--person", onHold, "--reason", "person-request", "--yes")
	if code != Refused || *erasures != 1 {
		t.Errorf("exit code %d, asked for %d times", code, *erasures)
	}
	want(t, "standard error", err, "a legal hold forbids", "waits in the register")
}

func TestEraseAgainGivesTheSameAnswer(t *testing.T) {
	f := newFake(t)
	f.routes["POST /v1/persons/"+erased+"/erase"] = func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(f.bodies[len(f.bodies)-1], `"dry_run":true`) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(410)
			io.WriteString(w, problemDoc("erased", "the person was erased"))
			return
		}
		io.WriteString(w, `{"erasure":"01KERASURE","person":"`+erased+`","stages":{}}`)
	}
	if code, out, _ := run(t, "", "person", "erase", "--person", erased, "--reason", "other", "--yes"); code != Done || !strings.Contains(out, "01KERASURE") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if code, _, _ := run(t, "", "person", "erase", "--person", erased, "--reason", "other", "--dry-run"); code != Gone {
		t.Errorf("dry run of an erased person: exit code %d", code)
	}
}

func TestErasureAsJSON(t *testing.T) {
	f := newFake(t)
	eraseRoutes(f)
	for _, args := range [][]string{
		{"erasure", "list"}, {"erasure", "show", "01KERASURE"},
		{"person", "erase", "--person", alice, "--reason", "other", "--yes"}, {"person", "erase", "--person", alice, "--reason", "other", "--dry-run"},
	} {
		code, out, err := run(t, "", append(args, "--json")...)
		if code != Done || !json.Valid([]byte(out)) {
			t.Errorf("%v: exit code %d, output %s, %s", args, code, out, err)
		}
	}
	_, out, _ := run(t, "", "erasure", "list")
	want(t, "the list", out, "ERASURE ", " STAGE", "01KERASURE", "the person's request", "shredded: the keys are destroyed")
	t.Setenv("OUBLI_LANG", "fr")
	_, out, _ = run(t, "", "erasure", "list")
	want(t, "the list in French", out, "ÉTAPE", "demande de la personne", "détruit : les clés n'existent plus")
}

// TestErasePart: the scope is sent as it is documented, shown, and asked about as a part.
func TestErasePart(t *testing.T) {
	for _, c := range []struct{ flag, value, sent, shown, scope string }{
		{"--conversation", "shop-fr/c/42", `"scope":{"conversation":"c/42","bot":"shop-fr"}`, "the conversation c/42 of shop-fr", `{"conversation":"c/42","bot":"shop-fr"}`},
		{"--before", "2026-01-31", `"scope":{"before":"2026-01-31"}`, "what was said before 2026-01-31", `{"before":"2026-01-31"}`},
	} {
		f := newFake(t)
		f.routes["POST /v1/persons/"+alice+"/erase"] = func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(f.bodies[len(f.bodies)-1], `"dry_run":true`) {
				io.WriteString(w, `{"preview":{"person":"`+alice+`","persons":["`+alice+`"],"scope":`+c.scope+`,"events":2,"channels":["web"],"handles":[],"holds":0}}`)
				return
			}
			io.WriteString(w, `{"erasure":"01KERASURE","person":"`+alice+`","persons":["`+alice+`"],"reason":"person-request","scope":`+c.scope+
				`,"erased_events":2,"kept_events":7,"stages":{"requested":"2026-11-22T10:00:00Z"}}`)
		}
		args := []string{"person", "erase", "--person", alice, "--reason", "person-request", c.flag, c.value}
		code, out, err := run(t, "", append(args, "--yes")...)
		if code != Done {
			t.Errorf("%s: exit code %d", c.flag, code)
		}
		want(t, "the preview", err, c.shown)
		want(t, "the answer", out, "the rest can be read as before", c.shown, "2 erased, 7 kept")
		for _, body := range f.bodies {
			want(t, "a request", body, c.sent)
		}
		f.on("POST /v1/persons/"+alice+"/erase", 404, problemDoc("not-found", "scope: the person has no event in this scope; nothing is erased"))
		if code, _, _ := run(t, "", append(args, "--dry-run")...); code != NotFound {
			t.Errorf("%s that nothing is in: exit code %d", c.flag, code)
		}
	}
	for _, wrong := range [][]string{{"--conversation", "c-42"}, {"--conversation", "/c"}, {"--before", "31.01.2026"}, {"--before", "2026-01-31", "--conversation", "a/b"}} {
		newFake(t)
		if code, _, _ := run(t, "", append([]string{"person", "erase", "--person", alice, "--reason", "other", "--yes"}, wrong...)...); code != Usage {
			t.Errorf("%v: exit code %d", wrong, code)
		}
	}
}

// TestEraseRefuseFor: a longer refusal is asked for, shown before it is done, and shown afterwards with what it costs.
func TestEraseRefuseFor(t *testing.T) {
	f := newFake(t)
	f.routes["POST /v1/persons/"+alice+"/erase"] = func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(f.bodies[len(f.bodies)-1], `"dry_run":true`) {
			io.WriteString(w, `{"preview":{"person":"`+alice+`","persons":["`+alice+`"],"events":3,"channels":["web"],"handles":["email:a…@e…"],"holds":0,"refused_until":"2027-11-22T10:00:00Z"}}`)
			return
		}
		io.WriteString(w, `{"erasure":"01KERASURE","person":"`+alice+`","persons":["`+alice+`"],"reason":"person-request","stages":{"requested":"2026-11-22T10:00:00Z"},"refused_until":"2027-11-22T10:00:00Z"}`)
	}
	code, out, err := run(t, "", "person", "erase", "--person", alice, "--reason", "person-request", "--refuse-for", "365d", "--yes")
	if code != Done {
		t.Errorf("exit code %d", code)
	}
	for _, b := range f.bodies {
		want(t, "every request", b, `"refuse_for":"365d"`)
	}
	want(t, "the preview", err, "handles refused until", "2027-11-22 10:00:00; meanwhile a guessed handle can be tested")
	want(t, "the answer", out, "handles refused until", "2027-11-22 10:00:00")
}

// TestAdmit: the handle that is given goes to the server in the body alone, and the answer says how many came back with it.
func TestAdmit(t *testing.T) {
	f := newFake(t)
	f.on("POST /v1/persons/admit", 200, `{"handles":2}`)
	code, out, _ := run(t, "email:alice@example.com\n", "person", "admit", "--identity", "-", "--reason", "person-request")
	if code != Done {
		t.Errorf("exit code %d", code)
	}
	want(t, "the answer", out, "Admitted.", "2")
	want(t, "the request", f.bodies[len(f.bodies)-1], `"id":"alice@example.com"`, `"reason":"person-request"`)
	f.on("POST /v1/persons/admit", 404, `{"type":"urn:oubli:not-found","detail":"no handle that was given is refused"}`)
	if code, _, _ := run(t, "", "person", "admit", "--identity", "email:nobody@example.com"); code != NotFound {
		t.Errorf("nobody is refused: exit code %d", code)
	}
}
