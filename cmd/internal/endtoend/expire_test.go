package endtoend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/oubli-store/oubli/cmd/internal/settings"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/envelope"
	"github.com/oubli-store/oubli/eventstore/rights"
	"github.com/oubli-store/oubli/keyvault/thief"
	"github.com/oubli-store/oubli/projections"
)

// aged is a world in which a month is let expire by hand: the server's own setting is long enough to leave it alone.
type aged struct {
	*world
	before time.Time
	crowd  []eventstore.PersonID
	// held stays on hold, released is on hold at first, silent said nothing since.
	held, released, silent eventstore.PersonID
}

func keepLong(s *settings.Server) { s.Retention = "3000d" }

func (w *aged) say(id, text string, at time.Time) eventstore.PersonID {
	e := said(identity("web", id), "c-1", text)
	e.Time = at
	return w.append(e).Person
}

// beginAged fills a store with events of three months: the last one that expires, the first one that stays, and the present one.
func beginAged(t *testing.T, people int) *aged {
	now := time.Now().UTC()
	w := &aged{world: begin(t, keepLong), before: time.Date(now.Year()-2, now.Month(), 1, 0, 0, 0, 0, time.UTC)}
	old, kept := w.before.Add(-time.Second), w.before
	talk := func(id string) eventstore.PersonID {
		p := w.say(id, "what "+id+" said long ago", old)
		w.say(id, "what "+id+" said in the first month that stays", kept)
		w.say(id, "what "+id+" says now", now)
		return p
	}
	for i := range people {
		w.crowd = append(w.crowd, talk(fmt.Sprintf("visitor-%d", i)))
	}
	w.held, w.released = talk("claimant"), talk("plaintiff")
	w.silent = w.say("passer-by", "never heard of since", old)
	for _, p := range []eventstore.PersonID{w.held, w.released} {
		post[rights.Standing](w.world, "/v1/persons/"+p.String()+"/hold", map[string]string{"reason": "court-order"})
	}
	return w
}

// expire lets the month expire and waits for the end of it. A run of the server's own, at its start, comes first.
func (w *aged) expire() (e rights.Expiry) {
	w.Helper()
	asked := false
	for deadline := time.Now().Add(90 * time.Second); e.Stages[rights.Completed].IsZero(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("retention does not complete: %+v", e)
		}
		method, body := http.MethodGet, ""
		if !asked {
			method, body = http.MethodPost, `{"before":"`+w.before.Format(time.DateOnly)+`"}`
		}
		status, b := w.do(method, "/v1/vault/expire", "application/json", strings.NewReader(body))
		if status == http.StatusConflict && !asked {
			continue
		}
		if status != http.StatusOK {
			w.Fatalf("retention: status %d: %s", status, b)
		}
		asked, e = true, rights.Expiry{}
		decode(w.world, b, &e)
	}
	return e
}

// lines is the transcript as it is sent, and the day before which it says that something has expired.
func (w *aged) lines(p eventstore.PersonID) (lines []string, expired string) {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), http.MethodGet, w.server.URL()+"/v1/persons/"+p.String()+"/events", nil)
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer answer.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		w.Fatalf("reading a person: status %d, %v", answer.StatusCode, err)
	}
	for line := range bytes.Lines(b.Bytes()) {
		lines = append(lines, string(line))
	}
	return lines, answer.Header.Get("Oubli-Expired-Before")
}

// says checks a person's transcript, byte for byte, and that every other answer says the same of what has expired.
func (w *aged) says(when string, p eventstore.PersonID, want []string, expired string) {
	w.Helper()
	if lines, day := w.lines(p); !reflect.DeepEqual(lines, want) || day != expired {
		w.Errorf("%s: %d events, expired before %q; want %d and %q", when, len(lines), day, len(want), expired)
	}
	for _, path := range []string{"", "/export"} {
		var answer struct {
			ExpiredBefore string `json:"expired_before"`
		}
		_, b := w.do(http.MethodGet, "/v1/persons/"+p.String()+path, "", nil)
		if decode(w.world, b, &answer); answer.ExpiredBefore != expired {
			w.Errorf("%s: %s says expired before %q, want %q", when, path, answer.ExpiredBefore, expired)
		}
	}
}

// figures are all rows of the activity of the months, once everything is counted.
func (w *aged) figures() (rows [][]any) {
	w.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var s projections.Status
		_, b := w.do(http.MethodGet, "/v1/projections/status", "", nil)
		if decode(w.world, b, &s); s.Running && s.Lag == 0 {
			break
		}
		if time.Now().After(deadline) {
			w.Fatalf("the projections stand still: %+v", s)
		}
	}
	for _, from := range []time.Time{w.before.AddDate(0, -1, 0), w.before, time.Now().UTC().AddDate(0, 0, -1)} {
		status, b := w.do(http.MethodGet, fmt.Sprintf("/v1/stats/activity?by=month&from=%s&to=%s", from.Format(time.DateOnly), from.AddDate(0, 0, 2).Format(time.DateOnly)), "", nil)
		if status != http.StatusOK {
			w.Fatalf("figures: %s", b)
		}
		var a projections.Answer
		decode(w.world, b, &a)
		rows = append(rows, a.Rows...)
	}
	return rows
}

// TestExpiry: over the real vault and the real stream a month expires while one human is on hold and another comes off hold afterwards. What stays is read byte
// for byte as before, across a restart too; what has expired is left out, and every answer says so. Then an attacker who kept a copy of the whole stopped
// server from before, but for its root register, gets all that there is now: of the expired month nothing opens but what is on hold, of the others everything.
// Control: with the register of before all of it opens. The data keys that it gives stand in no file.
func TestExpiry(t *testing.T) {
	people := 70 // past the first split of the key tree
	if os.Getenv("OUBLI_SOAK") != "" {
		people = 400
	}
	w := beginAged(t, people)
	day := w.before.Format(time.DateOnly)
	someone := w.crowd[0]
	said := map[eventstore.PersonID][]string{}
	for _, p := range []eventstore.PersonID{someone, w.held, w.released} {
		said[p], _ = w.lines(p)
		w.says("before", p, said[p], "")
	}
	figures := w.figures()
	w.stop()
	before := copyOf(t, w.dir)
	w.start(keepLong)

	if e := w.expire(); e.Before != day || e.Spared != 2 || e.Erased != 0 || e.Keys != uint64(people)+1 {
		t.Errorf("retention: %+v", e)
	}
	w.says("expired", someone, said[someone][1:], day)
	w.says("on hold", w.held, said[w.held], "")
	w.says("on hold", w.released, said[w.released], "")
	// Nothing is left of who said nothing since, but they are known only since today: their record stays until that month expires.
	w.says("silent", w.silent, nil, day)
	post[rights.Standing](w.world, "/v1/persons/"+w.released.String()+"/unhold", map[string]string{})
	w.says("off hold", w.released, said[w.released], "")
	if e := w.expire(); e.Spared != 1 || e.Keys != 1 {
		t.Errorf("retention after a hold: %+v", e)
	}
	w.says("after a hold", w.released, said[w.released][1:], day)
	left := w.figures()
	// The figures of what has expired were published before it went.
	released := slices.ContainsFunc(left, func(row []any) bool { return slices.Contains(row, any("released")) })
	if len(left) < len(figures) || len(left) == 0 || !released {
		t.Errorf("%d rows of figures, %d before, released %v", len(left), len(figures), released)
	}
	w.stop()
	present := copyOf(t, w.dir)
	w.attack(before, present)

	if err := os.RemoveAll(filepath.Join(w.dir, "projections")); err != nil {
		t.Fatal(err)
	}
	w.start(keepLong)
	w.says("restarted", someone, said[someone][1:], day)
	w.says("restarted", w.held, said[w.held], "")
	w.says("restarted", w.released, said[w.released][1:], day)
	if rebuilt := w.figures(); !reflect.DeepEqual(rebuilt, left) {
		t.Errorf("rebuilt, the figures are %v, they were %v", rebuilt, left)
	}
	w.neverAgain()
}

// neverAgain: what has expired is not let in again, also not as an archive (keep_old), and nobody becomes known by it; the month that is kept is.
func (w *aged) neverAgain() {
	w.Helper()
	for at, want := range map[time.Time]int{w.before.Add(-time.Second): http.StatusGone, w.before: http.StatusCreated} {
		id := eventstore.Identity{Namespace: "web", ID: fmt.Sprint("archive-", want)}
		b, err := json.Marshal(map[string]any{"identity": id, "conversation": "archive", "type": "message", "author": "user", "bot": "shop", "channel": "web",
			"text": "from the archive", "time": at})
		if err != nil {
			w.Fatal(err)
		}
		if status, answer := w.do(http.MethodPost, "/v1/events?keep_old=true", "application/json", bytes.NewReader(b)); status != want {
			w.Errorf("an event of %s: status %d, want %d: %s", at.Format(time.DateOnly), status, want, answer)
		}
		if known := !w.person(id).IsZero(); known != (want == http.StatusCreated) {
			w.Errorf("whose event of %s came is known: %v", at.Format(time.DateOnly), known)
		}
	}
}

// attack is everything that who has both copies can do.
func (w *aged) attack(before, present string) {
	w.Helper()
	month := eventstore.KeyMonthOf(w.before, w.before)
	var everybody []eventstore.PersonID
	var old, later []ciphertext
	wantOld, wantLater := map[eventstore.PersonID]int{}, map[eventstore.PersonID]int{}
	for _, c := range ciphertexts(w.T, filepath.Join(copyOf(w.T, before), "nats")) {
		e, err := envelope.Parse(c.data)
		if err != nil {
			w.Fatal(err)
		}
		if e.Month < uint16(month) {
			everybody, old = append(everybody, c.person), append(old, c)
			wantOld[c.person]++
		} else {
			later = append(later, c)
			wantLater[c.person]++
		}
	}
	if len(old) != len(w.crowd)+3 || len(later) != 2*(len(w.crowd)+2) {
		w.Fatalf("the old stream holds %d messages of the expired month, %d of others", len(old), len(later))
	}
	if n := standsIn(w.T, filepath.Join(before, "log"), old); n != len(old) {
		w.Fatalf("the old journal holds %d of %d expired ciphertexts; the test would show less than it says", n, len(old))
	}
	rob := func(registers ...string) *thief.Thief {
		a := thief.New(vaultOf(w.T, before))
		for _, dir := range []string{before, present} {
			if err := a.Take(filepath.Join(dir, "vault")); err != nil {
				w.Fatal(err)
			}
		}
		for _, dir := range registers {
			if err := a.Roots(filepath.Join(copyOf(w.T, dir), "roots"), filepath.Join(present, "kek")); err != nil {
				w.Fatal(err)
			}
		}
		if err := a.Run(); err != nil {
			w.Fatal(err)
		}
		return a
	}
	a, control := rob(present), rob(present, before)
	if got := opened(w.T, a, old, everybody); !reflect.DeepEqual(got, map[eventstore.PersonID]int{w.held: 1}) {
		w.Errorf("of the expired month messages of %d persons open, want that of the one on hold", len(got))
	}
	if got := opened(w.T, a, later, everybody); !reflect.DeepEqual(got, wantLater) {
		w.Errorf("of later months messages of %d persons open, want all of %d", len(got), len(wantLater))
	}
	if got := opened(w.T, control, old, everybody); !reflect.DeepEqual(got, wantOld) {
		w.Errorf("control: with the old register too messages of only %d persons open, want %d; the test sees nothing", len(got), len(wantOld))
	}
	w.scan(control, old, present)
}

// scan looks for the data keys of expired messages in every file.
func (w *aged) scan(control *thief.Thief, old []ciphertext, dir string) {
	w.Helper()
	var keys []ciphertext
	for _, c := range old {
		e, err := envelope.Parse(c.data)
		if err != nil {
			w.Fatal(err)
		}
		for _, key := range control.DataKeys(c.person, e.Month) {
			aead, err := subtle.NewAESGCM(key)
			if err != nil {
				w.Fatal(err)
			}
			if _, err := aead.Decrypt(e.Ciphertext, e.AppendAssociated(nil, string(eventstore.DefaultTenant), c.person)); err == nil {
				keys = append(keys, ciphertext{c.person, key})
			}
		}
	}
	if len(keys) < len(old) {
		w.Fatalf("control: %d data keys of %d messages are known", len(keys), len(old))
	}
	if n := standsIn(w.T, dir, keys); n != 0 {
		w.Errorf("%d expired data keys stand in clear", n)
	}
	kek, err := os.ReadFile(filepath.Join(dir, "kek"))
	if err != nil {
		w.Fatal(err)
	}
	if standsIn(w.T, dir, []ciphertext{{data: kek[:16]}}) != 1 {
		w.Error("control: the search finds nothing")
	}
}
