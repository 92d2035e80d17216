package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/streams/natsembed"
)

const recordingName = "Appel de Zoé Durand.wav"

// bytesOf is so many bytes that nobody can guess.
func bytesOf(seed byte, size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// form is a form as a bot sends it.
func form(t *testing.T, event, name, media string, body []byte) (string, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	w := multipart.NewWriter(&out)
	part := func(disposition, media string, body []byte) {
		p, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {disposition}, "Content-Type": {media}})
		if err == nil {
			_, err = p.Write(body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	part(`form-data; name="event"`, "application/json", []byte(event))
	part(`form-data; name="file"; filename="`+name+`"`, media, body)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), &out
}

func recordingOf(email, conversation string) string {
	return `{"identity":{"namespace":"email","id":"` + email + `"},"conversation":"` + conversation + `","type":"attachment","author":"user","text":"enregistrement"}`
}

// send sends a file.
func (w *world) send(token, event, name, media string, body []byte) (int, map[string]any) {
	w.Helper()
	contentType, sent := form(w.T, event, name, media, body)
	r, err := http.NewRequest("POST", w.URL()+"/v1/attachments", sent)
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", contentType)
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		w.Fatal(err)
	}
	return resp.StatusCode, out
}

// get reads a file.
func (w *world) get(token, id string, header ...string) (*http.Response, []byte) {
	w.Helper()
	r, err := http.NewRequest("GET", w.URL()+"/v1/attachments/"+id, nil)
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	return resp, body
}

// file finds the id of the newest attachment of a person.
func (w *world) file(token, person string) (id string) {
	w.Helper()
	_, lines := w.ask("GET", "/v1/persons/"+person+"/events", token, "")
	for line := range strings.Lines(lines) {
		var e struct {
			Event struct {
				Attachment struct {
					ID string `json:"id"`
				} `json:"attachment"`
			} `json:"event"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			w.Fatal(err)
		}
		if e.Event.Attachment.ID != "" {
			id = e.Event.Attachment.ID
		}
	}
	if id == "" {
		w.Fatalf("no attachment in %s", lines)
	}
	return id
}

// holds says which files below a directory hold a text.
func holds(t *testing.T, dir string, texts ...[]byte) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		for i, text := range texts {
			if bytes.Contains(b, text) {
				out = append(out, fmt.Sprint(path, " holds text ", i))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAttachments: a file goes in and comes out, for those who may read it, whole or a range of it, and in no file of the server stands what it is; with its
// conversation or its person it is gone, and no trace of the person is left.
func TestAttachments(t *testing.T) {
	dir := t.TempDir()
	c, ahead := config(dir), &atomic.Int64{}
	c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	w := begin(t, c)
	shop, other := w.token(`{"roles":["bot"],"bot":"shop"}`), w.token(`{"roles":["bot"],"bot":"other"}`)
	dpo := w.token(`{"roles":["dpo"]}`)
	body := bytesOf(1, 2*eventstore.ChunkSize+12345)
	status, receipt := w.send(shop, recordingOf("zoe@example.com", "c1"), recordingName, `audio/wav; rate="8000"`, body)
	if status != 201 {
		t.Fatalf("%d %v", status, receipt)
	}
	person := receipt["person"].(string)
	id := w.file(dpo, person)

	resp, got := w.get(shop, id)
	if resp.StatusCode != 200 || !bytes.Equal(got, body) {
		t.Fatalf("%d, %d bytes", resp.StatusCode, len(got))
	}
	for name, want := range map[string]string{"Content-Type": "audio/wav; rate=8000", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
		"Content-Disposition": "attachment; filename*=utf-8''Appel%20de%20Zo%C3%A9%20Durand.wav", "Content-Security-Policy": "default-src 'none'; sandbox"} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if resp, got := w.get(dpo, id, "Range", "bytes=1048000-2100000"); resp.StatusCode != 206 || !bytes.Equal(got, body[1048000:2100001]) {
		t.Errorf("a range: %d, %d bytes", resp.StatusCode, len(got))
	}
	if resp, got := w.get(dpo, id, "Range", "bytes=0-0,5-6"); resp.StatusCode != 200 || len(got) != len(body) {
		t.Errorf("two ranges: %d, %d bytes", resp.StatusCode, len(got))
	}
	if resp, _ := w.get(other, id); resp.StatusCode != 404 {
		t.Errorf("another bot's: %d", resp.StatusCode)
	}
	if resp, _ := w.get(w.token(`{"roles":["analyst"]}`), id); resp.StatusCode != 403 {
		t.Errorf("as analyst: %d", resp.StatusCode)
	}
	if _, entries := w.ask("GET", "/v1/ledger", dpo, ""); strings.Count(entries, "attachment-read") != 3 {
		t.Errorf("the ledger: %s", entries)
	}

	// A second conversation, which is erased alone.
	second := bytesOf(2, 5000)
	if status, out := w.send(dpo, strings.Replace(recordingOf("zoe@example.com", "c2"), `"type"`, `"bot":"shop","type"`, 1), "../../etc/passwd\u2028", "text/html", second); status != 201 {
		t.Fatalf("%d %v", status, out)
	}
	gone := w.file(dpo, person)
	if resp, got := w.get(shop, gone); !bytes.Equal(got, second) || strings.Contains(resp.Header.Get("Content-Disposition"), "/") {
		t.Errorf("%v, %d bytes", resp.Header, len(got))
	}
	erasure := w.want(200, "POST", "/v1/persons/"+person+"/erase", dpo, `{"reason":"person-request","scope":{"conversation":"c2","bot":"shop"}}`)["erasure"].(string)
	if resp, _ := w.get(shop, gone); resp.StatusCode != 410 {
		t.Errorf("an erased part: %d", resp.StatusCode)
	}
	if resp, got := w.get(shop, id); resp.StatusCode != 200 || !bytes.Equal(got, body) {
		t.Errorf("what stays: %d, %d bytes", resp.StatusCode, len(got))
	}
	w.completed(dpo, erasure, ahead)

	w.want(200, "POST", "/v1/persons/"+person+"/restrict", dpo, "")
	if resp, _ := w.get(shop, id); resp.StatusCode != 403 {
		t.Errorf("restricted: %d", resp.StatusCode)
	}
	w.want(200, "POST", "/v1/persons/"+person+"/unrestrict", dpo, "")

	// In no file stands what the file is.
	w.end()
	if found := holds(t, dir, body[:64], body[len(body)-64:], []byte("Appel de Zo"), []byte("audio/wav"), second[:64]); found != nil {
		t.Errorf("%v", found)
	}
	if strings.Contains(w.log.String(), "Appel") || strings.Contains(w.log.String(), "audio") {
		t.Error("the log names a file")
	}
	w = begin(t, c)
	if resp, got := w.get(shop, id); resp.StatusCode != 200 || !bytes.Equal(got, body) {
		t.Errorf("after a restart: %d, %d bytes", resp.StatusCode, len(got))
	}
	erasure = w.want(200, "POST", "/v1/persons/"+person+"/erase", dpo, `{"reason":"person-request"}`)["erasure"].(string)
	if resp, _ := w.get(shop, id); resp.StatusCode != 410 {
		t.Errorf("erased: %d", resp.StatusCode)
	}
	w.completed(dpo, erasure, ahead)
	w.end()
	if found := holds(t, filepath.Join(dir, "nats"), []byte(person)); found != nil {
		t.Errorf("%v", found)
	}
}

// completed waits until an erasure's messages are gone, on a clock that is put forward meanwhile.
func (w *world) completed(token, erasure string, ahead *atomic.Int64) {
	w.Helper()
	for range 600 {
		ahead.Add(int64(natsembed.Settle / 10))
		stages := w.want(200, "GET", "/v1/erasures/"+erasure, token, "")["stages"].(map[string]any)
		if stages["projected"] != nil && stages["removed"] != nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.Fatal("the erasure does not complete")
}

// TestAttachmentsComeBackFromABackup: but for those of who was erased since.
func TestAttachmentsComeBackFromABackup(t *testing.T) {
	w := begin(t, config(t.TempDir()))
	shop, dpo := w.token(`{"roles":["bot"],"bot":"shop"}`), w.token(`{"roles":["dpo"]}`)
	body, lost := bytesOf(1, eventstore.ChunkSize+77), bytesOf(2, 500)
	var persons []string
	for i, b := range [][]byte{body, lost} {
		status, out := w.send(shop, recordingOf(fmt.Sprint("p", i, "@example.com"), "c1"), "a.wav", "audio/wav", b)
		if status != 201 {
			t.Fatal(status, out)
		}
		persons = append(persons, out["person"].(string))
	}
	ids := []string{w.file(dpo, persons[0]), w.file(dpo, persons[1])}
	recipient, opened := newIdentity(t)
	file := w.backup(recipient)
	w.want(200, "POST", "/v1/persons/"+persons[1]+"/erase", dpo, `{"reason":"person-request"}`)
	newest := w.keep()
	w.end()
	dir := t.TempDir()
	if _, err := restoreInto(t, filepath.Join(dir, "data"), file, opened, newest, false); err != nil {
		t.Fatal(err)
	}
	w = begin(t, config(filepath.Join(dir, "data")))
	dpo = w.token(`{"roles":["dpo"]}`)
	if resp, got := w.get(dpo, ids[0]); resp.StatusCode != 200 || !bytes.Equal(got, body) {
		t.Errorf("restored: %d, %d bytes", resp.StatusCode, len(got))
	}
	if resp, _ := w.get(dpo, ids[1]); resp.StatusCode != 410 {
		t.Errorf("erased since: %d", resp.StatusCode)
	}
}

// TestAttachmentLimits: what is too large is refused before it is read, by settings that are in force at once.
func TestAttachmentLimits(t *testing.T) {
	w := begin(t, config(t.TempDir()))
	shop := w.token(`{"roles":["bot"],"bot":"shop"}`)
	if status, out := w.ask("PUT", "/v1/settings", w.admin, `{"attachment_max":"2GiB"}`); status != 400 || !strings.Contains(out, "attachment_max") {
		t.Errorf("beyond 1 GiB: %d %s", status, out)
	}
	w.ask("PUT", "/v1/settings", w.admin, `{"attachment_max":"1KiB","attachments_total":"2KiB"}`)
	for size, want := range map[int]int{1024: 201, 1025: 413, 1 << 20: 413} {
		if status, out := w.send(shop, recordingOf("a@example.com", "c1"), "a", "audio/wav", bytesOf(1, size)); status != want {
			t.Errorf("%d bytes: %d %v", size, status, out)
		}
	}
	if status, out := w.send(shop, recordingOf("a@example.com", "c1"), "a", "audio/wav", bytesOf(1, 1024)); status != 413 {
		t.Errorf("beyond the total: %d %v", status, out)
	}
	for what, body := range map[string]string{
		"no form":      "hello",
		"one part":     "--x\r\nContent-Disposition: form-data; name=\"event\"\r\n\r\n" + recordingOf("a@example.com", "c") + "\r\n--x--\r\n",
		"cut off":      "--x\r\nContent-Disposition: form-data; name=\"event\"\r\n\r\n" + recordingOf("a@example.com", "c") + "\r\n--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhello",
		"a third part": "--x\r\nContent-Disposition: form-data; name=\"event\"\r\n\r\n" + recordingOf("a@example.com", "c") + "\r\n--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhello\r\n--x\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n\r\n--x--\r\n",
	} {
		if status, out := w.ask("POST", "/v1/attachments", shop, body, "Content-Type", "multipart/form-data; boundary=x"); status != 400 || strings.Contains(out, "hello") {
			t.Errorf("%s: %d %s", what, status, out)
		}
	}
}
