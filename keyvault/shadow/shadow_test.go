package shadow_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/oubli-store/oubli/keyvault/shadow"
)

// TestShadow: what is changed is seen through the shadow and nowhere else.
func TestShadow(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"a", "b", "c", "d"} {
		if err := os.WriteFile(at(name), []byte("old "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := shadow.New()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) string {
		t.Helper()
		file, err := f.Open(at(name))
		must(err)
		defer file.Close()
		b, err := io.ReadAll(file)
		must(err)
		return string(b)
	}
	w, err := f.OpenReadWrite(at("a"), vfs.WriteCategoryUnspecified)
	must(err)
	_, err = w.WriteAt([]byte("NEW"), 0)
	must(err)
	must(w.Close())
	must(f.Remove(at("b")))
	must(f.Rename(at("c"), at("sub/e")))
	must(f.Link(at("d"), at("f")))
	for name, want := range map[string]string{"a": "NEW a", "sub/e": "old c", "d": "old d", "f": "old d"} {
		if got := read(name); got != want {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"b", "c", "never"} {
		if _, err := f.Open(at(name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("opening %s: %v", name, err)
		}
		if _, err := f.Stat(at(name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("looking for %s: %v", name, err)
		}
		if err := f.Remove(at(name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("removing %s: %v", name, err)
		}
	}
	list, err := f.List(dir)
	if want := []string{"a", "d", "f", "sub"}; err != nil || !slices.Equal(list, want) {
		t.Errorf("%v %v, want %v", list, err, want)
	}
	must(f.RemoveAll(dir))
	if list, err := f.List(dir); err == nil && len(list) > 0 {
		t.Errorf("removed, and holds %v", list)
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		if b, err := os.ReadFile(at(name)); err != nil || string(b) != "old "+name {
			t.Errorf("on the disk %s holds %q %v", name, b, err)
		}
	}
	if list, _ := os.ReadDir(dir); len(list) != 4 {
		t.Errorf("on the disk: %v", list)
	}
}

// TestDatabase: a database is opened, written, compacted and closed, and opened again as it was.
func TestDatabase(t *testing.T) {
	dir := t.TempDir()
	put := func(fs vfs.FS, key, value string) {
		t.Helper()
		db, err := pebble.Open(dir, &pebble.Options{FS: fs, Logger: silent{t}})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Set([]byte(key), []byte(value), pebble.Sync); err != nil {
			t.Error(err)
		}
		if err := db.Flush(); err != nil {
			t.Error(err)
		}
		if err := db.Compact(t.Context(), []byte("a"), []byte("z"), false); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	put(vfs.Default, "key", "value")
	f := shadow.New()
	put(f, "key", "other")
	put(f, "more", "other")
	for disk, want := range map[vfs.FS]string{vfs.Default: "value", f: "other"} {
		db, err := pebble.Open(dir, &pebble.Options{FS: disk, ReadOnly: true, Logger: silent{t}})
		if err != nil {
			t.Fatal(err)
		}
		got, closer, err := db.Get([]byte("key"))
		if err != nil || string(got) != want {
			t.Errorf("%q %v, want %q", got, err, want)
		} else {
			closer.Close()
		}
		db.Close()
	}
}

type silent struct{ *testing.T }

func (silent) Infof(string, ...any) {}
