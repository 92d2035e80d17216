package backup

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/keystest"
)

// planned is a schedule over fakes; fail makes the next backups fail.
type planned struct {
	*Schedule
	dir  string
	meta *keystest.Fake
	made int
	fail bool
}

func newPlanned(t *testing.T) *planned {
	p := &planned{dir: t.TempDir(), meta: keystest.New()}
	if err := p.meta.CreateTenant(t.Context(), eventstore.DefaultTenant); err != nil {
		t.Fatal(err)
	}
	p.restart()
	return p
}

// restart makes the schedule anew, as a restart of the server does.
func (p *planned) restart() {
	p.Schedule = NewSchedule(Plan{Dir: p.dir, Every: 24 * time.Hour, Keep: 72 * time.Hour}, eventstore.VaultID{9}, p.meta, p.make, time.Now, slog.New(slog.DiscardHandler))
}

func (p *planned) make(_ context.Context, o Order, w io.Writer) (Made, error) {
	text := ageHead + "sealed"
	if _, err := io.WriteString(w, text); err != nil || p.fail {
		return Made{}, errors.Join(err, errors.New("it failed"))
	}
	p.made++
	now := time.Now().UTC()
	return Made{Moment: now, Expires: now.Add(o.Keep), Bytes: int64(len(text))}, nil
}

func (p *planned) files(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob(p.dir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// run lets the schedule work for a time, from a start to a stop.
func (p *planned) run(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	time.Sleep(d)
	synctest.Wait()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestSchedule: on time, also across restarts and after a time when nothing ran; what has expired goes, and only that.
func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlanned(t)
		foreign := filepath.Join(p.dir, "oubli-somebody-elses.age")
		if err := os.WriteFile(foreign, []byte(ageHead), 0o600); err != nil {
			t.Fatal(err)
		}
		part := filepath.Join(p.dir, "."+p.prefix()+"x.part")
		if err := os.WriteFile(part, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		p.run(t, time.Hour)
		if p.made != 1 || p.Status().Last.IsZero() || p.Status().Next != p.Status().Last.Add(24*time.Hour) {
			t.Fatalf("%d made, %+v", p.made, p.Status())
		}
		if _, err := os.Stat(part); !errors.Is(err, os.ErrNotExist) {
			t.Error("the part that a crash left is still there")
		}
		for range 10 { // restarts do not make more
			p.restart()
			p.run(t, time.Hour)
		}
		if p.made != 1 {
			t.Errorf("after restarts within the day: %d", p.made)
		}
		p.restart()
		p.run(t, 14*time.Hour)
		if p.made != 2 {
			t.Errorf("after a day: %d", p.made)
		}
		time.Sleep(36 * time.Hour) // nothing runs
		p.restart()
		p.run(t, 2*time.Minute)
		if p.made != 3 {
			t.Errorf("at once after a time when nothing ran: %d", p.made)
		}
		p.run(t, 20*24*time.Hour)
		if n := len(p.files(t)); n != 1+3 && n != 1+4 { // one foreign; three days are kept
			t.Errorf("after weeks there are %v", p.files(t))
		}
		if _, err := os.Stat(foreign); err != nil {
			t.Errorf("somebody else's file: %v", err)
		}
	})
}

// TestScheduleLeavesOthersAlone: a file under the name of one of its own that is another, and one that was taken away.
func TestScheduleLeavesOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlanned(t)
		p.run(t, time.Minute)
		mine := p.files(t)[0]
		if err := os.WriteFile(mine, []byte("my holiday pictures"), 0o600); err != nil {
			t.Fatal(err)
		}
		p.run(t, 25*time.Hour)
		taken := ""
		for _, f := range p.files(t) {
			if f != mine {
				taken = f
			}
		}
		if err := os.Remove(taken); err != nil {
			t.Fatal(err)
		}
		p.run(t, 100*time.Hour)
		if b, err := os.ReadFile(mine); err != nil || !strings.HasPrefix(string(b), "my holiday") {
			t.Errorf("another's file was deleted: %v", err)
		}
		if p.Status().Failure != "" {
			t.Errorf("%+v", p.Status())
		}
	})
}

// TestScheduleFails: a backup that fails leaves nothing, is told, and is tried again soon.
func TestScheduleFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlanned(t)
		p.fail = true
		p.run(t, time.Minute)
		if s := p.Status(); s.Failure == "" || s.Failures == 0 || len(p.files(t)) != 0 {
			t.Errorf("%+v %v", s, p.files(t))
		}
		if all, _ := os.ReadDir(p.dir); len(all) != 0 {
			t.Errorf("it left %v", all)
		}
		p.fail = false
		p.run(t, 15*time.Minute)
		if s := p.Status(); s.Failure != "" || p.made != 1 {
			t.Errorf("%+v, %d made", s, p.made)
		}
	})
}

func TestParsePeriod(t *testing.T) {
	for text, want := range map[string]time.Duration{"60d": 60 * 24 * time.Hour, "36h": 36 * time.Hour, "1d": 24 * time.Hour} {
		if d, err := ParsePeriod(text); d != want || err != nil {
			t.Errorf("%s: %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "d", "0d", "-1d", "1.5d", "99999999d", "-3h", "0h", "soon"} {
		if d, err := ParsePeriod(text); err == nil {
			t.Errorf("%q is %v", text, d)
		}
	}
}
