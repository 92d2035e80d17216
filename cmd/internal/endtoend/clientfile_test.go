package endtoend

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/iotest"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/client"
	"github.com/oubli-store/oubli/keyvault/secret"
)

// TestClientAttach: the Go package sends a file, of known and of unknown size, once however often it is sent; a file that cannot be read says so and leaves nothing.
func TestClientAttach(t *testing.T) {
	w := begin(t)
	c, err := client.New(client.Config{Server: w.server.URL(), Token: secret.New([]byte(w.token))})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	body := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	who := eventstore.Identity{Namespace: "email", ID: "alice@example.com"}
	e := eventstore.Event{Key: "call-1", Identity: &who, Conversation: "c1", Bot: "shop"}
	from := func(r io.Reader) func() (io.ReadCloser, error) {
		return func() (io.ReadCloser, error) { return io.NopCloser(r), nil }
	}
	for i, size := range []int64{int64(len(body)), -1} {
		r, err := c.Attach(t.Context(), e, client.File{Name: "Zoé \"x\".wav", ContentType: "audio/wav", Size: size, Open: from(bytes.NewReader(body))})
		if err != nil || r.Duplicate != (i == 1) {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	e.Key = "call-2"
	broken := errors.New("the disk is gone")
	_, err = c.Attach(t.Context(), e, client.File{Size: -1, Open: from(io.MultiReader(bytes.NewReader(body), iotest.ErrReader(broken)))})
	if !errors.Is(err, broken) {
		t.Errorf("a file that cannot be read: %v", err)
	}
	events := w.events(w.person(who))
	if len(events) != 1 || events[0].Event.Attachment.Name != "Zoé \"x\".wav" {
		t.Fatalf("%d events", len(events))
	}
	if status, got := w.do(http.MethodGet, "/v1/attachments/"+events[0].Event.Attachment.Ref, "", nil); status != 200 || !bytes.Equal(got, body) {
		t.Errorf("%d, %d bytes", status, len(got))
	}
}
