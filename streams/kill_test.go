package streams

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/streams/natsembed"
)

const childEnv = "OUBLI_STREAMS_CHILD"

// childMain is the process that is killed: it appends from 32 callers without end and prints a line for each acknowledgement. The ciphertext of
// an event is its caller's number and count.
func childMain() bool {
	dir := os.Getenv(childEnv)
	if dir == "" {
		return false
	}
	if err := child(dir); err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	return true
}

func child(dir string) error {
	ctx := context.Background()
	srv, err := natsembed.Start(ctx, natsembed.Config{Dir: dir + "/nats"})
	if err != nil {
		return err
	}
	conn, err := srv.Connect()
	if err != nil {
		return err
	}
	s, err := Open(ctx, Config{Dir: dir + "/log", Conn: conn, Settle: 200 * time.Millisecond})
	if err != nil {
		return err
	}
	if err := s.Open(ctx, tenant, vault, true, no); err != nil {
		return err
	}
	var mu sync.Mutex
	out := bufio.NewWriter(os.Stdout)
	start := uint64(time.Now().UnixNano())
	for caller := range uint64(32) {
		go func() {
			p := eventstore.PersonID{15: byte(caller) + 1}
			for i := start; ; i++ {
				m := eventstore.Message{Person: p}
				m.Envelope.Ciphertext = binary.BigEndian.AppendUint64(nil, i)
				binary.BigEndian.PutUint64(m.Envelope.Event[:], i)
				binary.BigEndian.PutUint64(m.Row[:], caller+1)
				binary.BigEndian.PutUint64(m.Row[8:], i)
				k, err := s.Submit(ctx, tenant, m)
				if err == nil {
					var at eventstore.Appended
					if at, err = k.Wait(ctx); err == nil {
						mu.Lock()
						fmt.Fprintln(out, "ack", caller, i, at.Sequence)
						out.Flush()
						mu.Unlock()
						continue
					}
				}
				fmt.Println("error", err)
				os.Exit(1)
			}
		}()
	}
	select {}
}

type ack struct{ caller, count, sequence uint64 }

// runAndKill kills a child at its n-th acknowledgement and gives all that it acknowledged.
func runAndKill(t *testing.T, dir string, n int) (acks []ack) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) != 4 || f[0] != "ack" {
			if len(f) > 0 && f[0] == "error" {
				t.Errorf("the child says: %s", lines.Text())
			}
			continue // cut off by the kill
		}
		var a ack
		for i, v := range []*uint64{&a.caller, &a.count, &a.sequence} {
			*v, _ = strconv.ParseUint(f[i+1], 10, 64)
		}
		if acks = append(acks, a); len(acks) == n {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait()
	return acks
}

// TestKill kills a process under load and starts it again; at the end every acknowledged event is there, once, where it was said to be and in its
// person's order.
func TestKill(t *testing.T) {
	kills := 5
	if os.Getenv("OUBLI_SOAK") != "" {
		kills = 50
	}
	dir := t.TempDir()
	var acks []ack
	for i := range kills {
		acks = append(acks, runAndKill(t, dir, 400+i*971%3000)...)
	}
	if len(acks) < 400*kills {
		t.Fatalf("only %d events were acknowledged", len(acks))
	}
	r := &room{t: t, dir: dir}
	r.startServer()
	r.openLog()
	defer r.stop()
	if err := r.s.Open(context.Background(), tenant, vault, false, no); err != nil {
		t.Fatal(err)
	}
	bySequence := map[uint64]eventstore.Stored{}
	seen := map[ack]bool{}
	last := map[eventstore.PersonID]uint64{}
	for _, st := range r.replay(0) {
		count := binary.BigEndian.Uint64(st.Envelope.Ciphertext)
		if key := (ack{uint64(st.Person[15]) - 1, count, 0}); seen[key] {
			t.Fatalf("an event is there twice, again at %d", st.Sequence)
		} else {
			seen[key] = true
		}
		if count <= last[st.Person] {
			t.Fatalf("the order of a person is broken at %d", st.Sequence)
		}
		last[st.Person] = count
		bySequence[st.Sequence] = st
	}
	for _, a := range acks {
		st, ok := bySequence[a.sequence]
		if !ok || uint64(st.Person[15])-1 != a.caller || binary.BigEndian.Uint64(st.Envelope.Ciphertext) != a.count {
			t.Fatalf("the acknowledged event %+v is not there", a)
		}
	}
	// Rows came back with the journal: a retry is a duplicate.
	for _, a := range acks[max(0, len(acks)-50):] {
		st := bySequence[a.sequence]
		m := eventstore.Message{Person: st.Person, Envelope: st.Envelope}
		binary.BigEndian.PutUint64(m.Row[:], a.caller+1)
		binary.BigEndian.PutUint64(m.Row[8:], a.count)
		if got := r.append(m); !got.Duplicate || got.Sequence != a.sequence {
			t.Fatalf("a retry of %+v: %+v", a, got)
		}
	}
	t.Logf("%d kills, %d acknowledged events", kills, len(acks))
}
