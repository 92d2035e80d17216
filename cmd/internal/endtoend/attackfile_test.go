package endtoend

import (
	"bytes"
	"io/fs"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/envelope"
	"github.com/oubli-store/oubli/keyvault/thief"
)

// attach sends an event of a handle with a file.
func (w *world) attach(email string, body []byte) eventstore.PersonID {
	w.Helper()
	var form bytes.Buffer
	m := multipart.NewWriter(&form)
	for _, part := range []struct{ disposition, media, body string }{
		{`form-data; name="event"`, "application/json", `{"identity":{"namespace":"email","id":"` + email + `"},"conversation":"c1","bot":"shop","type":"attachment"}`},
		{`form-data; name="file"; filename="call.wav"`, "audio/wav", string(body)},
	} {
		p, err := m.CreatePart(textproto.MIMEHeader{"Content-Disposition": {part.disposition}, "Content-Type": {part.media}})
		if err == nil {
			_, err = p.Write([]byte(part.body))
		}
		if err != nil {
			w.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		w.Fatal(err)
	}
	status, b := w.do(http.MethodPost, "/v1/attachments", m.FormDataContentType(), &form)
	if status != http.StatusCreated {
		w.Fatalf("%d %s", status, b)
	}
	var receipt eventstore.Receipt
	decode(w, b, &receipt)
	return receipt.Person
}

// fileKey is the key of a person's file, as their event holds it.
func fileKey(t *testing.T, store *eventstore.Store, p eventstore.PersonID) []byte {
	t.Helper()
	for r, err := range store.Read(t.Context(), eventstore.DefaultTenant, p, eventstore.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if f := r.Event.Attachment; f != nil {
			b, err := f.Key.MarshalCBOR()
			if err != nil {
				t.Fatal(err)
			}
			return b[len(b)-32:]
		}
	}
	t.Fatal("the person has no file")
	return nil
}

// TestAttackerWithAnAttachment: the attacker of TestAttackerWithStreamAndJournal, who looks for the key of a file. It stands in the sealed event alone: in no file of either
// directory, and, once its person is erased, in nothing that any key opens which comes out of both; a bystander's does. Control: with the register of before hers comes out.
func TestAttackerWithAnAttachment(t *testing.T) {
	w := begin(t)
	body := bytes.Repeat([]byte("what she said on the phone "), 100_000)
	hers, bystander := w.attach("alice@example.com", body), w.attach("bob@example.com", body)
	w.stop()
	before := copyOf(t, w.dir)
	store, closeAll := openStore(t, copyOf(t, before))
	keys := map[eventstore.PersonID][]byte{hers: fileKey(t, store, hers), bystander: fileKey(t, store, bystander)}
	closeAll()
	w.start()
	w.erase(hers)
	w.stop()
	for _, dir := range []string{before, w.dir} {
		for _, secret := range [][]byte{keys[hers], keys[bystander], body[:200], []byte("call.wav"), []byte("audio/wav")} {
			if n := standsInAny(t, dir, secret); n != 0 {
				t.Errorf("%d files hold what is secret", n)
			}
		}
	}
	all := ciphertexts(t, filepath.Join(copyOf(t, before), "nats"))
	attack := func(registers ...string) map[eventstore.PersonID]bool {
		t.Helper()
		a := thief.New(vaultOf(t, before))
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
		out := map[eventstore.PersonID]bool{}
		for _, c := range all {
			e, err := envelope.Parse(c.data)
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range a.DataKeys(c.person, e.Month) {
				aead, err := subtle.NewAESGCM(key)
				if err != nil {
					t.Fatal(err)
				}
				plain, err := aead.Decrypt(e.Ciphertext, e.AppendAssociated(nil, string(eventstore.DefaultTenant), c.person))
				for p, secret := range keys {
					out[p] = out[p] || err == nil && bytes.Contains(plain, secret)
				}
			}
		}
		return out
	}
	if got := attack(w.dir); got[hers] || !got[bystander] {
		t.Errorf("the keys come out: hers %v, the bystander's %v", got[hers], got[bystander])
	}
	if control := attack(w.dir, before); !control[hers] {
		t.Error("control: with the old register hers does not come out; the test sees nothing")
	}
}

// standsInAny counts the files below a directory that hold some bytes.
func standsInAny(t *testing.T, dir string, what []byte) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, what) {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestAttachmentOfTheGuide sends the file that the bot guide shows for curl.
func TestAttachmentOfTheGuide(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not here")
	}
	w := begin(t)
	guide, err := os.ReadFile(filepath.Join(docs, "bots.md"))
	if err != nil {
		t.Fatal(err)
	}
	command := string(regexp.MustCompile(`(?s)curl -sS [^\n]*/v1/attachments.*?\n` + "```").Find(guide))
	if command == "" {
		t.Fatal("the guide shows no file for curl")
	}
	command = strings.Replace(strings.TrimSuffix(command, "```"), "http://127.0.0.1:8420", `"$OUBLI_URL"`, 1)
	command = strings.Replace(command, `"type":"attachment"`, `"bot":"shop","type":"attachment"`, 1) // the test's token speaks for no single bot
	dir := t.TempDir()
	write(t, filepath.Join(dir, "call.wav"), "RIFF")
	for range 2 {
		w.run(dir, "sh", "-ec", strings.Replace(command, "curl -sS", "curl -sSf", 1))
	}
	events := w.events(w.person(eventstore.Identity{Namespace: "phone", ID: "+33612345678"}))
	if len(events) != 1 || events[0].Event.Attachment == nil || events[0].Event.Attachment.Size != 4 || events[0].Event.Attachment.ContentType != "audio/wav" {
		t.Errorf("%d events", len(events))
	}
}
