package endtoend

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/envelope"
	"github.com/oubli-store/oubli/keyvault/thief"
	"github.com/oubli-store/oubli/streams/natsembed"
)

// ciphertext is a message of the stream as it lies on the disk.
type ciphertext struct {
	person eventstore.PersonID
	data   []byte
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	// CopyFS keeps no permissions, and a key that others can read is refused.
	if err := os.Chmod(filepath.Join(to, "kek"), 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// ciphertexts reads every message of the tenant's stream from a copy of a stopped server's nats directory.
func ciphertexts(t *testing.T, dir string) (out []ciphertext) {
	t.Helper()
	s, err := natsembed.Start(t.Context(), natsembed.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	conn, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "CONV_default")
	if err != nil {
		t.Fatal(err)
	}
	state := stream.CachedInfo().State
	for seq := state.FirstSeq; seq <= state.LastSeq && state.Msgs > 0; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			continue // a hole
		}
		id, ok := strings.CutPrefix(m.Subject, "conv.default.")
		if !ok {
			continue
		}
		if p, err := eventstore.ParsePersonID(id); err == nil {
			out = append(out, ciphertext{p, m.Data})
		}
	}
	return out
}

// opened counts, for each person, the messages that open under any data key of anybody that the thief has.
func opened(t *testing.T, a *thief.Thief, all []ciphertext, everybody []eventstore.PersonID) map[eventstore.PersonID]int {
	t.Helper()
	out := map[eventstore.PersonID]int{}
	for _, c := range all {
		e, err := envelope.Parse(c.data)
		if err != nil {
			t.Fatal(err)
		}
		bound := e.AppendAssociated(nil, string(eventstore.DefaultTenant), c.person)
		for _, p := range everybody {
			hit := false
			for _, key := range a.DataKeys(p, e.Month) {
				aead, err := subtle.NewAESGCM(key)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := aead.Decrypt(e.Ciphertext, bound); err == nil {
					hit = true
				}
			}
			if hit {
				out[c.person]++
				break
			}
		}
	}
	return out
}

// standsIn counts the messages that stand, byte for byte, in the files of a directory.
func standsIn(t *testing.T, dir string, all []ciphertext) (n int) {
	t.Helper()
	var files [][]byte
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		files = append(files, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		for _, f := range files {
			if bytes.Contains(f, c.data) {
				n++
				break
			}
		}
	}
	return n
}

// TestAttackerWithStreamAndJournal: somebody kept a copy of a whole stopped server from before an erasure, but for its root register: the stream and the
// journal in it still hold every ciphertext. Later they get all that there is: directory, root register, key-encryption key. They read the files
// themselves, with none of the program's manners, and try every key that comes out on every message. Of the erased human, who had two handles and was linked
// by a login, not one message opens; everybody else's do, all of them. Control: with the register of before, all of hers open.
func TestAttackerWithStreamAndJournal(t *testing.T) {
	people := 70 // past the first split of the key tree
	if os.Getenv("OUBLI_SOAK") != "" {
		people = 400
	}
	w := begin(t)
	email, visitor := eventstore.Identity{Namespace: "email", ID: "alice@example.com"}, eventstore.Identity{Namespace: "web", ID: "visitor-77"}
	for i := range people {
		who := identity("web", fmt.Sprintf("bystander-%d", i))
		w.append(said(who, "c1", "what a bystander says"))
		w.append(said(who, "c2", "and says again"))
	}
	w.append(said(&visitor, "v1", "anonymous words"))
	w.append(said(&email, "c1", "her own words"))
	w.append(said(&email, "c1", "after the login", visitor))
	hers := map[eventstore.PersonID]bool{w.person(email): true, w.append(said(&visitor, "v2", "more of the visitor's")).Person: true}
	w.stop()
	before := copyOf(t, w.dir)
	w.start()
	w.erase(w.person(email))
	w.stop()

	all := ciphertexts(t, filepath.Join(copyOf(t, before), "nats"))
	var everybody []eventstore.PersonID
	want, ofHers := map[eventstore.PersonID]int{}, []ciphertext{}
	for _, c := range all {
		if want[c.person] == 0 {
			everybody = append(everybody, c.person)
		}
		want[c.person]++
		if hers[c.person] {
			ofHers = append(ofHers, c)
		}
	}
	if len(hers) != 2 || len(ofHers) != 4 || len(everybody) != people+2 {
		t.Fatalf("the old stream holds %d messages of %d persons, %d of hers", len(all), len(everybody), len(ofHers))
	}
	if n := standsIn(t, filepath.Join(before, "log"), ofHers); n != len(ofHers) {
		t.Fatalf("the old journal holds %d of her %d ciphertexts; the test would show less than it says", n, len(ofHers))
	}
	attack := func(registers ...string) map[eventstore.PersonID]int {
		t.Helper()
		id := vaultOf(t, before)
		a := thief.New(id)
		for _, dir := range []string{before, w.dir} {
			if err := a.Take(filepath.Join(dir, "vault")); err != nil {
				t.Fatal(err)
			}
		}
		for _, dir := range registers {
			if err := a.Roots(filepath.Join(copyOf(t, dir), "roots"), filepath.Join(w.dir, "kek")); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Run(); err != nil {
			t.Fatal(err)
		}
		for p := range hers {
			if a.Holds(p) != (len(registers) > 1) {
				t.Errorf("with %d registers her record opens: %v", len(registers), a.Holds(p))
			}
		}
		if len(registers) == 1 && (a.Names("email:alice@example.com") || a.Names("web:visitor-77")) {
			t.Error("a guess at her handles can be tested")
		}
		return opened(t, a, all, everybody)
	}
	got, control := attack(w.dir), attack(w.dir, before)
	for _, p := range everybody {
		switch {
		case hers[p] && got[p] != 0:
			t.Errorf("%d of her %d messages open", got[p], want[p])
		case !hers[p] && got[p] != want[p]:
			t.Errorf("%d of a bystander's %d messages open", got[p], want[p])
		case control[p] != want[p]:
			t.Errorf("control: with the old register too only %d of %d messages of %s open; the test sees nothing", control[p], want[p], p)
		}
	}
}

// vaultOf reads the vault id from the register key's file, where it stands in clear.
func vaultOf(t *testing.T, dir string) (id [16]byte) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "roots", "register.key"))
	if err != nil {
		t.Fatal(err)
	}
	const head = len("oublirkey") + 1
	copy(id[:], b[head:])
	return id
}
