package endtoend

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/server"
	"github.com/oubli-store/oubli/cmd/internal/settings"
	"github.com/oubli-store/oubli/eventstore"
)

// killEnv names the data directory to a process of this test's program that is to be a server.
const killEnv = "OUBLI_ENDTOEND_SERVER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killEnv); dir != "" {
		serveUntilKilled(dir)
		return
	}
	os.Exit(m.Run())
}

// serveUntilKilled serves until the process is killed, or the one that started it ends.
func serveUntilKilled(dir string) {
	s, err := server.Start(context.Background(), server.Config{Server: settings.Server{Data: dir, Listen: "127.0.0.1:0"}})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("url", s.URL())
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// victim is a server in a process of its own.
type victim struct {
	cmd *exec.Cmd
	in  io.Closer
	url string
}

func newVictim(t *testing.T, dir string) *victim {
	t.Helper()
	v := &victim{cmd: exec.Command(os.Args[0])}
	v.cmd.Env = append(os.Environ(), killEnv+"="+dir)
	v.cmd.Stderr = os.Stderr
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if v.in, err = v.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.kill)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "url "); ok {
			v.url = url
			return v
		}
		t.Errorf("the server says: %s", lines.Text())
	}
	t.Fatal("the server did not start")
	return nil
}

func (v *victim) kill() {
	_ = v.cmd.Process.Kill()
	_ = v.cmd.Wait()
}

// speaker is one person who says event 0, 1, 2, … and does not go on before the one before is acknowledged, over all servers that are killed meanwhile.
type speaker struct {
	n     int
	acked []eventstore.Receipt
	wrong error
}

func (s *speaker) text(i int) string { return fmt.Sprintf("event %d of speaker %d", i, s.n) }

// speak goes on until a request fails, which is when the server is dead.
func (s *speaker) speak(client *http.Client, url, token string, acknowledged func()) {
	for s.wrong == nil {
		i := len(s.acked)
		body, err := json.Marshal(eventstore.Event{Key: fmt.Sprintf("s%d-%d", s.n, i), Identity: identity("web", fmt.Sprintf("speaker-%d", s.n)),
			Conversation: "c", Type: eventstore.TypeMessage, Author: eventstore.AuthorUser, Bot: "shop-fr", Text: s.text(i)})
		if err != nil {
			s.wrong = err
			return
		}
		r, err := http.NewRequest(http.MethodPost, url+"/v1/events", bytes.NewReader(body))
		if err != nil {
			s.wrong = err
			return
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		answer, err := client.Do(r)
		if err != nil {
			return
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			return
		}
		var receipt eventstore.Receipt
		if answer.StatusCode != http.StatusCreated {
			s.wrong = fmt.Errorf("status %d: %s", answer.StatusCode, text)
		} else if err := json.Unmarshal(text, &receipt); err != nil {
			s.wrong = err
		} else {
			s.acked = append(s.acked, receipt)
			acknowledged()
		}
	}
}

// TestKillUnderLoad: a whole server is killed again and again while another process appends over HTTP and tries again what was not answered. At the end every
// acknowledged event is there once, where it was said to be, in its person's order, and opens.
func TestKillUnderLoad(t *testing.T) {
	kills := 5
	if os.Getenv("OUBLI_SOAK") != "" {
		kills = 50
	}
	dir := filepath.Join(t.TempDir(), "oubli-data")
	speakers := make([]*speaker, 16)
	for i := range speakers {
		speakers[i] = &speaker{n: i}
	}
	var total atomic.Int64
	for k := range kills {
		v := newVictim(t, dir)
		token, err := os.ReadFile(filepath.Join(dir, "admin.token"))
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: len(speakers)}, Timeout: 20 * time.Second}
		until := total.Load() + int64(100+k*577%800)
		var all sync.WaitGroup
		for _, s := range speakers {
			all.Go(func() {
				s.speak(client, v.url, strings.TrimSpace(string(token)), func() {
					if total.Add(1) == until {
						v.kill()
					}
				})
			})
		}
		all.Wait()
		v.kill()
		client.CloseIdleConnections()
		for _, s := range speakers {
			if s.wrong != nil {
				t.Fatalf("round %d, speaker %d: %v", k, s.n, s.wrong)
			}
		}
	}
	w := &world{T: t, dir: dir}
	w.start()
	defer w.stop()
	for _, s := range speakers {
		said := w.events(w.person(*identity("web", fmt.Sprintf("speaker-%d", s.n))))
		if len(said) != len(s.acked) && len(said) != len(s.acked)+1 { // the last one was not answered
			t.Fatalf("speaker %d: %d events are stored, %d were acknowledged", s.n, len(said), len(s.acked))
		}
		for i, e := range said {
			if e.Event.Text != s.text(i) || i < len(s.acked) && (e.Sequence != s.acked[i].Sequence || e.ID != s.acked[i].ID) {
				t.Fatalf("speaker %d: event %d is not the one that was acknowledged", s.n, i)
			}
		}
	}
	t.Logf("%d kills, %d acknowledged events", kills, total.Load())
}
