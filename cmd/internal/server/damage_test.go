package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// harm is one way to damage one file.
type harm struct {
	name string
	// do changes the file at path, whose place in the directory is rel; false means that there is nothing to do.
	do func(d *damageable, path, rel string, rng *rand.Rand) (bool, error)
}

func change(f func(b []byte, rng *rand.Rand) []byte) func(*damageable, string, string, *rand.Rand) (bool, error) {
	return func(_ *damageable, path, _ string, rng *rand.Rand) (bool, error) {
		b, err := os.ReadFile(path)
		if err != nil || len(b) == 0 {
			return false, err
		}
		return true, os.WriteFile(path, f(b, rng), 0o600)
	}
}

// put replaces a file with another one, if that is there and differs.
func put(path, by string) (bool, error) {
	b, err := os.ReadFile(by)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	now, err2 := os.ReadFile(path)
	if err := errors.Join(err, err2); err != nil || bytes.Equal(b, now) {
		return false, err
	}
	return true, os.WriteFile(path, b, 0o600)
}

func flip(b []byte, rng *rand.Rand) []byte {
	b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
	return b
}

// flipUsed flips a bit that is not in a stretch of zeros.
func flipUsed(b []byte, rng *rand.Rand) []byte {
	for range 1000 {
		if i := rng.IntN(len(b)); b[i] != 0 {
			b[i] ^= 1 << rng.IntN(8)
			return b
		}
	}
	return flip(b, rng)
}

var harms = []harm{
	{"a bit flipped", change(flip)},
	{"a used bit flipped", change(flipUsed)},
	{"cut to nothing", change(func(b []byte, _ *rand.Rand) []byte { return nil })},
	{"cut somewhere", change(func(b []byte, rng *rand.Rand) []byte { return b[:rng.IntN(len(b))] })},
	{"cut by one byte", change(func(b []byte, _ *rand.Rand) []byte { return b[:len(b)-1] })},
	{"removed", func(_ *damageable, path, _ string, _ *rand.Rand) (bool, error) { return true, os.Remove(path) }},
	{"an older copy", func(d *damageable, path, rel string, _ *rand.Rand) (bool, error) {
		return put(path, filepath.Join(d.older, rel))
	}},
	{"of another vault", func(d *damageable, path, rel string, _ *rand.Rand) (bool, error) {
		return put(path, filepath.Join(d.other, rel))
	}},
	{"of another tenant", func(d *damageable, path, rel string, _ *rand.Rand) (bool, error) {
		swapped := strings.NewReplacer("default", "acme", "acme", "default").Replace(rel)
		return put(path, filepath.Join(d.dir, swapped))
	}},
}

// outcome is what became of a start on damage.
type outcome struct {
	refused error
	wrong   []string // answers that differ
	changed []string // files that a refusal changed
}

// TestDamage damages every file of a data directory in every way, one at a time, and starts a server on it, after a stop in good order and after a crash. It
// refuses, in words, and all is as before once the file is put back; or it serves exactly what was stored.
func TestDamage(t *testing.T) {
	d := newDamageable(t)
	t.Run("stopped", func(t *testing.T) { t.Parallel(); d.harmAll(t, d.dir) })
	t.Run("crashed", func(t *testing.T) { t.Parallel(); d.harmAll(t, d.crashed) })
	t.Run("projections made anew", func(t *testing.T) {
		t.Parallel()
		for _, from := range []string{d.dir, d.crashed} {
			dir := copied(t, from)
			if err := os.RemoveAll(filepath.Join(dir, "projections")); err != nil {
				t.Fatal(err)
			}
			w := begin(t, config(dir))
			w.passed()
			for _, wrong := range d.compare(w) {
				t.Error(wrong)
			}
			w.end()
		}
	})
}

func (d *damageable) harmAll(t *testing.T, dir string) {
	soak := os.Getenv("OUBLI_SOAK") != ""
	rounds, every := 1, len(harms)
	if soak {
		rounds, every = 6, 1
	}
	refused, served := 0, 0
	for round := range rounds {
		for i, rel := range files(t, dir) {
			for j, h := range harms {
				if (i+j+round)%every != 0 { // in the small setting each file in some ways, each way on some files
					continue
				}
				rng := rand.New(rand.NewPCG(uint64(round), uint64(i*len(harms)+j)))
				name := rel + ", " + h.name
				// Where nothing was changed, a start on what was put back shows little.
				o, ok := d.try(t, dir, name, rel, h, rng, soak || dir == d.crashed || i%6 == 0)
				switch {
				case !ok:
				case o.refused != nil:
					refused++
					if !errors.Is(o.refused, eventstore.ErrDamaged) && !errors.Is(o.refused, eventstore.ErrNewerVersion) && !strings.Contains(o.refused.Error(), "--kek") {
						t.Errorf("%s: %v, which does not say that it is damage", name, o.refused)
					}
					if dir == d.dir && rel != "kek" && len(o.changed) > 0 { // the key is tried when the database is there
						t.Errorf("%s: the refusal changed %v", name, o.changed)
					}
				default:
					served++
				}
				for _, w := range o.wrong {
					if dir == d.crashed && tornLog(rel) && o.refused == nil {
						t.Logf("not noticed, as docs/threat-model.md says: %s: %s", name, w)
						continue
					}
					t.Errorf("%s: %s", name, w)
				}
			}
		}
	}
	t.Logf("%d refused, %d served as before", refused, served)
}

// tornLog says of a file that after a crash a change in it cannot be told from a write that the crash cut off: the newest log of the vault's database.
func tornLog(rel string) bool {
	return filepath.Dir(rel) == "vault" && filepath.Ext(rel) == ".log"
}

// try damages one file of a copy.
func (d *damageable) try(t *testing.T, from, name, rel string, h harm, rng *rand.Rand, putBack bool) (o outcome, ok bool) {
	t.Helper()
	dir := copied(t, from)
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, rel)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err = h.do(d, path, rel, rng); !ok || err != nil {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return o, false
	}
	before := contents(t, dir)
	w := &world{T: t, log: &lockedBuffer{}}
	c := config(dir)
	c.StartWithin, c.Log = 20*time.Second, slog.New(slog.NewJSONHandler(w.log, nil))
	w.Server, o.refused = Start(t.Context(), c)
	if o.refused == nil {
		o.wrong = d.compare(w)
		d.stop(w)
		return o, true
	}
	for name, b := range contents(t, dir) {
		if before[name] != b {
			o.changed = append(o.changed, strings.TrimPrefix(name, dir+"/"))
		}
		delete(before, name)
	}
	for name := range before {
		o.changed = append(o.changed, "-"+strings.TrimPrefix(name, dir+"/"))
	}
	slices.Sort(o.changed)
	if !putBack {
		return o, true
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, good, 0o600)); err != nil {
		t.Fatal(err)
	}
	if w.Server, err = Start(t.Context(), c); err != nil {
		o.wrong = append(o.wrong, fmt.Sprintf("refused (%v), and after the file was put back: %v", o.refused, err))
		return o, true
	}
	for _, wrong := range d.compare(w) {
		o.wrong = append(o.wrong, "after the file was put back: "+wrong)
	}
	d.stop(w)
	return o, true
}

// compare asks everything and says what differs.
func (d *damageable) compare(w *world) (wrong []string) {
	w.Helper()
	for i, a := range d.ask(w) {
		if a != d.answers[i] {
			wrong = append(wrong, fmt.Sprintf("%s %s: %.200s\n\twant %.200s", d.questions[i].method, d.questions[i].path, a, d.answers[i]))
		}
	}
	return wrong
}

// stop stops a server on damaged data, which may complain.
func (d *damageable) stop(w *world) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_ = w.Stop(ctx)
}
