package register

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/oubli-store/oubli/keyvault/secret"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
)

func open(t *testing.T, fs vfs.FS, key secret.Bytes) *File {
	t.Helper()
	id := newCopyID()
	if _, err := fs.Stat(FileName); err != nil {
		if err := createFile(fs, "", [16]byte{1}, header{1, id, []copyID{id}}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := openFile(fs, "", [16]byte{1}, key)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func content(t *testing.T, fs vfs.FS) []byte {
	t.Helper()
	f, err := fs.Open(FileName)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestFile writes, overwrites in place, effaces and grows, and reads all of it back from a new handle.
func TestFile(t *testing.T) {
	fs, key := vfs.NewMem(), secret.New(bytes.Repeat([]byte{7}, 32))
	r := open(t, fs, key)
	root := func(b byte) secret.Bytes { return secret.New(bytes.Repeat([]byte{b}, 32)) }
	for _, tenant := range []uint32{0, 3, growBy - 1, 5 * growBy} {
		if slots, err := r.Slots(t.Context(), tenant); err != nil || slots[0].State != Empty || slots[1].State != Empty {
			t.Fatalf("tenant %d before: %v", tenant, err)
		}
		if err := r.Write(t.Context(), tenant, 1, Root{Generation: 9, Key: root(byte(tenant + 1))}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Write(t.Context(), 3, 0, Root{Generation: 10, Key: root(99)}); err != nil {
		t.Fatal(err)
	}
	sealed := content(t, fs)[offset(3, 1)+sealedAt:][:60]
	before := len(content(t, fs))
	if err := r.Efface(t.Context(), 3, 1); err != nil {
		t.Fatal(err)
	}
	if after := content(t, fs); bytes.Contains(after, sealed) || len(after) != before {
		t.Error("the effaced key is still there, or the file was not overwritten in place")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open(t, fs, key)
	defer r.Close()
	slots, err := r.Slots(t.Context(), 3)
	if err != nil || slots[0].State != Full || slots[1].State != Empty || slots[0].Root.Generation != 10 || !slots[0].Root.Key.Equal(root(99)) {
		t.Errorf("tenant 3: %v, %v", slots, err)
	}
	slots, err = r.Slots(t.Context(), 5*growBy)
	if err != nil || slots[1].State != Full || !slots[1].Root.Key.Equal(root(5*growBy+1)) {
		t.Errorf("a tenant that the file grew for: %v, %v", slots, err)
	}
	if n, err := r.Tenants(t.Context()); err != nil || n <= 5*growBy {
		t.Errorf("%d tenants: %v", n, err)
	}
}

// TestTorn: a slot with any one bit wrong, or moved from elsewhere, is torn and never another key.
func TestTorn(t *testing.T) {
	fs, key := vfs.NewMem(), secret.New(bytes.Repeat([]byte{7}, 32))
	r := open(t, fs, key)
	defer r.Close()
	if err := r.Write(t.Context(), 0, 0, Root{Generation: 1, Key: secret.New(make([]byte, 32))}); err != nil {
		t.Fatal(err)
	}
	good := content(t, fs)[offset(0, 0):][:blockSize]
	for i := 0; i < blockSize; i += 7 {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if s, err := r.decode(bad, 0, 0); err != nil || s.State != Torn {
			t.Fatalf("byte %d: %v, %v", i, s.State, err)
		}
	}
	for what, s := range map[string]func() (Slot, error){
		"the other slot": func() (Slot, error) { return r.decode(good, 0, 1) },
		"another tenant": func() (Slot, error) { return r.decode(good, 1, 0) },
	} {
		if s, err := s(); err != nil || s.State != Torn {
			t.Errorf("%s: %v, %v", what, s.State, err)
		}
	}
}

func TestKey(t *testing.T) {
	dir := t.TempDir()
	if err := (FileKMS{}).Create(dir + "/kek"); err != nil {
		t.Fatal(err)
	}
	first, _ := os.ReadFile(dir + "/kek")
	if err := (FileKMS{}).Create(dir + "/kek"); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(dir + "/kek"); !bytes.Equal(first, again) || len(first) != 32 {
		t.Error("a second Create changed the key")
	}
	kek, err := KEK(nil, FileScheme+dir+"/kek")
	if err != nil {
		t.Fatal(err)
	}
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, found, err := LoadKey(vfs.Default, dir, kek); found || err != nil {
		t.Errorf("before: %v, %v", found, err)
	}
	if err := StoreKey(vfs.Default, dir, [16]byte{4}, key, kek); err != nil {
		t.Fatal(err)
	}
	vault, got, found, err := LoadKey(vfs.Default, dir, kek)
	if err != nil || !found || vault != [16]byte{4} || !got.Equal(key) {
		t.Errorf("LoadKey: %v", err)
	}
	other, _ := subtle.NewAESGCM(make([]byte, 32))
	if _, _, _, err := LoadKey(vfs.Default, dir, other); !errors.Is(err, ErrKEK) {
		t.Errorf("another key-encryption key: %v", err)
	}
	if err := os.Chmod(dir+"/kek", 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := KEK(nil, FileScheme+dir+"/kek"); err == nil {
		t.Error("a key that others can read was accepted")
	}
	if _, err := KEK(nil, "nobody-kms://key"); err == nil {
		t.Error("a scheme that nobody serves was accepted")
	}
}
