package register

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/oubli-store/oubli/keyvault/secret"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// rotation is a key file that is about to get another key-encryption key.
type rotation struct {
	*testing.T
	key      secret.Bytes
	old, new tink.AEAD
}

const rotated = "/roots"

func newRotation(t *testing.T) (rotation, *vfs.MemFS) {
	t.Helper()
	r := rotation{T: t, key: secret.New(bytes.Repeat([]byte{9}, keySize))}
	var err1, err2 error
	r.old, err1 = subtle.NewAESGCM(bytes.Repeat([]byte{1}, 32))
	r.new, err2 = subtle.NewAESGCM(bytes.Repeat([]byte{2}, 32))
	fs := vfs.NewCrashableMem()
	err3 := fs.MkdirAll(rotated, 0o700)
	if err := errors.Join(err1, err2, err3, syncDir(fs, "/"), StoreKey(fs, rotated, [16]byte{4}, r.key, r.old)); err != nil {
		t.Fatal(err)
	}
	return r, fs
}

// opens says whether a key-encryption key opens the key file; anything but "not this one" fails the test.
func (r rotation) opens(fs vfs.FS, kek tink.AEAD, when string) bool {
	r.Helper()
	vault, key, found, err := LoadKey(fs, rotated, kek)
	if errors.Is(err, ErrKEK) && found {
		return false
	}
	if err != nil || !found || vault != [16]byte{4} || !key.Equal(r.key) {
		r.Fatalf("%s: found %t: %v", when, found, err)
	}
	return true
}

// audit checks what a crash or an error left: exactly one key-encryption key opens it, Settle leaves one file, and it can be rotated on from there.
func (r rotation) audit(fs vfs.FS, when string) {
	r.Helper()
	isOld, isNew := r.opens(fs, r.old, when), r.opens(fs, r.new, when)
	if isOld == isNew {
		r.Fatalf("%s: the old key opens: %t, the new one: %t", when, isOld, isNew)
	}
	if err := Settle(fs, rotated); err != nil {
		r.Fatalf("%s: settling: %v", when, err)
	}
	r.alone(fs, when)
	if r.opens(fs, r.old, when) != isOld {
		r.Fatalf("%s: settling changed the key", when)
	}
	from, to := r.old, r.new
	if isNew {
		from, to = to, from
	}
	if err := Rotate(fs, []string{rotated}, from, to, agree); err != nil {
		r.Fatalf("%s: rotating again: %v", when, err)
	}
	if !r.opens(fs, to, when) || r.opens(fs, from, when) {
		r.Fatalf("%s: the second rotation had no effect", when)
	}
	r.alone(fs, when)
}

func (r rotation) alone(fs vfs.FS, when string) {
	r.Helper()
	names, err := fs.List(rotated)
	if err != nil || len(names) != 1 || names[0] != KeyFileName {
		r.Fatalf("%s: %v are left: %v", when, names, err)
	}
}

// agree is what runs before a rotation and does not mind.
func agree() error { return nil }

// TestRotateCrash: wherever a crash stops a rotation, and whatever it leaves of unsynced writes, the old key opens or the new one does.
func TestRotateCrash(t *testing.T) {
	for _, percent := range []int{0, 50, 100} {
		for seed := range uint64(10) {
			r, mem := newRotation(t)
			rng := rand.New(rand.NewPCG(seed, uint64(percent)))
			var crashes []*vfs.MemFS
			clone := func() {
				crashes = append(crashes, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
			}
			fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
					clone()
				}
				return nil
			}))
			if err := Rotate(fs, []string{rotated}, r.old, r.new, agree); err != nil {
				t.Fatal(err)
			}
			clone()
			if len(crashes) < 10 {
				t.Fatalf("only %d writes were seen", len(crashes))
			}
			if last := crashes[len(crashes)-1]; !r.opens(last, r.new, "the end") {
				t.Error("a finished rotation does not survive a crash")
			}
			for i, c := range crashes {
				r.audit(c, fmt.Sprintf("%d%%, seed %d, crash %d", percent, seed, i))
			}
		}
	}
}

var errBroken = errors.New("the disk is broken")

// persisting is a filesystem of which one change of a directory fails after it had its effect.
type persisting struct {
	vfs.FS
	left int // changes that go well
}

func (p *persisting) fails(err error) error {
	if p.left--; p.left == -1 && err == nil {
		return errBroken
	}
	return err
}

func (p *persisting) Link(from, to string) error   { return p.fails(p.FS.Link(from, to)) }
func (p *persisting) Rename(from, to string) error { return p.fails(p.FS.Rename(from, to)) }
func (p *persisting) Remove(name string) error     { return p.fails(p.FS.Remove(name)) }

// TestRotateFailsLate: a step that failed and had its effect all the same does no harm.
func TestRotateFailsLate(t *testing.T) {
	const changes = 3 // link, rename, remove
	for k := range changes {
		r, mem := newRotation(t)
		if err := Rotate(&persisting{mem, k}, []string{rotated}, r.old, r.new, agree); !errors.Is(err, errBroken) {
			t.Fatalf("change %d failed: %v", k, err)
		}
		r.audit(mem, fmt.Sprintf("change %d failed late", k))
	}
	r, mem := newRotation(t)
	if err := Rotate(&persisting{mem, changes}, []string{rotated}, r.old, r.new, agree); err != nil {
		t.Fatalf("there are more changes than %d: %v", changes, err)
	}
}

// TestRotateFails: whichever write fails, the old key opens or the new one does.
func TestRotateFails(t *testing.T) {
	for k := 0; ; k++ {
		r, mem := newRotation(t)
		writes := 0
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				if writes++; writes == k+1 {
					return errBroken
				}
			}
			return nil
		}))
		err := Rotate(fs, []string{rotated}, r.old, r.new, agree)
		if writes <= k {
			if err != nil || k < 10 {
				t.Errorf("after %d writes: %v", k, err)
			}
			return
		}
		if !errors.Is(err, errBroken) {
			t.Fatalf("write %d failed: %v", k, err)
		}
		r.audit(mem, fmt.Sprintf("write %d failed", k))
	}
}

// TestRotateOverwrites: whoever keeps hold of the old file, as the disk does, finds no wrapping in it.
func TestRotateOverwrites(t *testing.T) {
	r, fs := newRotation(t)
	path := rotated + "/" + KeyFileName
	before, err := readFile(fs, path)
	if err != nil {
		t.Fatal(err)
	}
	held, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := Rotate(fs, []string{rotated}, r.old, r.new, agree); err != nil {
		t.Fatal(err)
	}
	after, err := io.ReadAll(held)
	if err != nil || len(after) != len(before) {
		t.Fatalf("%d bytes: %v", len(after), err)
	}
	same := 0
	for i := range after {
		if after[i] == before[i] {
			same++
		}
	}
	if same > len(after)/8 {
		t.Errorf("%d of %d bytes of the old wrapping are still there", same, len(after))
	}
}

// TestRotateRefuses: nothing is written, and nothing recorded, unless both keys are seen to work.
func TestRotateRefuses(t *testing.T) {
	r, fs := newRotation(t)
	before, err := readFile(fs, rotated+"/"+KeyFileName)
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("the ledger is full")
	recorded := false
	record := func() error { recorded = true; return nil }
	for what, test := range map[string]struct {
		old, new tink.AEAD
		before   func() error
		want     error
	}{
		"the wrong old key":           {r.new, r.old, record, ErrKEK},
		"a new key without a service": {r.old, brokenKEK{r.new, ErrKMS, nil}, record, ErrKMS},
		"a new key that only wraps":   {r.old, brokenKEK{r.new, nil, ErrKMS}, record, ErrKMS},
		"an act not recorded":         {r.old, r.new, func() error { return refused }, refused},
	} {
		if err := Rotate(fs, []string{rotated}, test.old, test.new, test.before); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", what, err)
		}
		after, err := readFile(fs, rotated+"/"+KeyFileName)
		if err != nil || !bytes.Equal(before, after) || recorded {
			t.Errorf("%s: something was written or recorded (%t): %v", what, recorded, err)
		}
		r.alone(fs, what)
	}
	if err := fs.Remove(rotated + "/" + KeyFileName); err != nil {
		t.Fatal(err)
	}
	if err := Rotate(fs, []string{rotated}, r.old, r.new, record); !errors.Is(err, ErrDamaged) || recorded {
		t.Errorf("no key file: %v", err)
	}
}

// brokenKEK fails to wrap or to unwrap.
type brokenKEK struct {
	tink.AEAD
	wrap, unwrap error
}

func (b brokenKEK) Encrypt(plaintext, associated []byte) ([]byte, error) {
	if b.wrap != nil {
		return nil, b.wrap
	}
	return b.AEAD.Encrypt(plaintext, associated)
}

func (b brokenKEK) Decrypt(ciphertext, associated []byte) ([]byte, error) {
	if b.unwrap != nil {
		return nil, b.unwrap
	}
	return b.AEAD.Decrypt(ciphertext, associated)
}

// emptyKEK opens anything, to nothing.
type emptyKEK struct{ tink.AEAD }

func (emptyKEK) Decrypt([]byte, []byte) ([]byte, error) { return nil, nil }

// TestEmptyAnswer: a service that answers nothing is not taken at its word.
func TestEmptyAnswer(t *testing.T) {
	r, fs := newRotation(t)
	if _, _, _, err := LoadKey(fs, rotated, emptyKEK{r.old}); !errors.Is(err, ErrKEK) {
		t.Errorf("LoadKey: %v", err)
	}
	if err := StoreKey(fs, rotated, [16]byte{4}, r.key, emptyKEK{r.new}); err == nil || !r.opens(fs, r.old, "after") {
		t.Errorf("StoreKey: %v", err)
	}
}
