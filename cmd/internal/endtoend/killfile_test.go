package endtoend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/server"
	"github.com/oubli-store/oubli/cmd/internal/settings"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/client"
	"github.com/oubli-store/oubli/keyvault/secret"
)

// sender is one person who sends file 0, 1, 2, …, each again under its key until it is acknowledged.
type sender struct {
	n, acked int
	wrong    error
}

func (s *sender) who() *eventstore.Identity { return identity("web", fmt.Sprintf("sender-%d", s.n)) }

// file is the content of a file.
func (s *sender) file(i int) []byte {
	rng := rand.New(rand.NewPCG(uint64(s.n), uint64(i)))
	b := make([]byte, rng.IntN(2*eventstore.ChunkSize))
	_, _ = rand.NewChaCha8([32]byte{byte(s.n), byte(i)}).Read(b)
	return b
}

// send goes on until a request fails, which is when the server is dead. read is told of the bytes that were sent.
func (s *sender) send(ctx context.Context, url, token string, read func(int)) {
	c, err := client.New(client.Config{Server: url, Token: secret.New([]byte(token)), Patience: time.Millisecond})
	if err != nil {
		s.wrong = err
		return
	}
	defer c.Close()
	for s.wrong == nil {
		body := s.file(s.acked)
		e := eventstore.Event{Key: fmt.Sprintf("f%d-%d", s.n, s.acked), Identity: s.who(), Conversation: "c", Bot: "shop-fr", Text: fmt.Sprint(s.acked)}
		open := func() (io.ReadCloser, error) {
			return io.NopCloser(io.TeeReader(bytes.NewReader(body), counter(read))), nil
		}
		_, err := c.Attach(ctx, e, client.File{Size: int64(len(body)), Open: open})
		var refused *client.Error
		switch {
		case err == nil:
			s.acked++
		case errors.As(err, &refused) && refused.Status < 500:
			s.wrong = err
		default:
			return
		}
	}
}

type counter func(int)

func (c counter) Write(b []byte) (int, error) { c(len(b)); return len(b), nil }

// TestKillDuringUploads: a whole server is killed again and again while another process sends files. At the end every acknowledged file is there once and whole,
// of any other the event with the whole file or neither, and no chunk beside.
func TestKillDuringUploads(t *testing.T) {
	kills := 3
	if os.Getenv("OUBLI_SOAK") != "" {
		kills = 30
	}
	dir := filepath.Join(t.TempDir(), "oubli-data")
	senders := make([]*sender, 4)
	for i := range senders {
		senders[i] = &sender{n: i}
	}
	for k := range kills {
		v := newVictim(t, dir)
		token, err := os.ReadFile(filepath.Join(dir, "admin.token"))
		if err != nil {
			t.Fatal(err)
		}
		var sent atomic.Int64
		until := int64(1<<20 + k*7_654_321%(16<<20))
		var all sync.WaitGroup
		for _, s := range senders {
			all.Go(func() {
				s.send(t.Context(), v.url, strings.TrimSpace(string(token)), func(n int) {
					if now := sent.Add(int64(n)); now >= until && now-int64(n) < until {
						_ = v.cmd.Process.Kill()
					}
				})
			})
		}
		all.Wait()
		v.kill()
		for _, s := range senders {
			if s.wrong != nil {
				t.Fatalf("round %d, sender %d: %v", k, s.n, s.wrong)
			}
		}
	}
	w := &world{T: t, dir: dir}
	w.start()
	defer w.stop()
	files, chunks := 0, uint64(0)
	for _, s := range senders {
		if s.acked == 0 {
			t.Errorf("sender %d: nothing was acknowledged", s.n)
			continue
		}
		sent := w.events(w.person(*s.who()))
		if len(sent) != s.acked && len(sent) != s.acked+1 { // the last one was not answered
			t.Fatalf("sender %d: %d files are stored, %d were acknowledged", s.n, len(sent), s.acked)
		}
		for i, e := range sent {
			want := s.file(i)
			status, got := w.do(http.MethodGet, "/v1/attachments/"+e.Event.Attachment.Ref, "", nil)
			if status != http.StatusOK || !bytes.Equal(got, want) || e.Event.Text != fmt.Sprint(i) {
				t.Fatalf("sender %d, file %d: %d, %d bytes, want %d", s.n, i, status, len(got), len(want))
			}
			files++
			chunks += uint64(max(1, (len(want)+eventstore.ChunkSize-1)/eventstore.ChunkSize))
		}
	}
	w.orphansGo(chunks)
	t.Logf("%d kills, %d files", kills, files)
}

// orphansGo waits until no upload is on record any more, and counts what is left.
func (w *world) orphansGo(want uint64) {
	w.Helper()
	var found uint64
	for range 3 { // what a start finds is removed behind it
		w.stop()
		all, err := server.CheckLog(w.Context(), server.Config{Server: settings.Server{Data: w.dir}}, nil)
		if err != nil || len(all) != 1 || len(all[0].Damage) > 0 {
			w.Fatalf("%+v, %v", all, err)
		}
		if found = all[0].Chunks; found == want {
			return
		}
		w.start()
	}
	w.Errorf("%d chunks, want %d", found, want)
}
