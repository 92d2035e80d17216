package backup

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"pgregory.net/rapid"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/secret"
)

// content is what a file holds, in memory.
type content struct {
	Header   Header
	Sections []Section
	Items    [][]Item
}

// plain is a file without its age envelope.
type plain struct{ bytes.Buffer }

func (*plain) Close() error { return nil }

func fill(t testing.TB, w *Writer, c content) {
	t.Helper()
	for i, s := range c.Sections {
		if err := w.Begin(s); err != nil {
			t.Fatal(err)
		}
		for _, item := range c.Items[i] {
			if err := w.Put(item); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.End(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func encode(t testing.TB, c content) []byte {
	var b plain
	w, err := newWriter(&b, c.Header)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, w, c)
	return b.Bytes()
}

// read reads a file to its end.
func read(r *Reader) (c content, err error) {
	c.Header = r.Header
	for {
		s, err := r.Next()
		if err == io.EOF {
			return c, nil
		}
		if err != nil {
			return c, err
		}
		var items []Item
		for i, err := range r.Items() {
			if err != nil {
				return c, err
			}
			items = append(items, i)
		}
		c.Sections, c.Items = append(c.Sections, s), append(c.Items, items)
	}
}

func decode(b []byte) (content, error) {
	r, err := newReader(bytes.NewReader(b))
	if err != nil {
		return content{}, err
	}
	return read(r)
}

// sample is a small file with two tenants, one of them erased.
func sample() content {
	h := Header{Vault: eventstore.VaultID{1, 2, 3}, Moment: unix(1795341600_123456789), Expires: unix(1800525600_000000000), Program: "test",
		Tenants: []Tenant{{Name: "acme", Number: 1, Erased: true}, {Name: "default", Last: 7, Entries: 2, Chunks: 4}}}
	c := content{Header: h, Sections: h.sections(Version)}
	c.Sections[3].Roots = map[uint32]secret.Bytes{0: secret.New(bytes.Repeat([]byte{0xA5}, 32))}
	c.Items = [][]Item{
		{{Number: 2, Key: bytes.Repeat([]byte{7}, 16), Value: []byte("sealed"), Time: 5}, {Number: 5, Value: []byte("control"), Time: 6}},
		{{Number: 3, Key: bytes.Repeat([]byte{7}, 16), Value: []byte("chunk"), Time: 7}},
		nil,
		{{Key: []byte("a"), Value: []byte("row")}, {Key: []byte("b")}},
		{{Number: 1, Value: []byte("one")}, {Number: 2, Value: []byte("two")}, {Number: 3, Value: []byte("three")}},
	}
	return c
}

// same compares what two files hold; an empty byte string and none are the same.
func same(a, b content) bool {
	norm := func(c content) string {
		var out strings.Builder
		fmt.Fprintf(&out, "%+v", c.Header)
		for i, s := range c.Sections {
			fmt.Fprintf(&out, "\n%s %d", s, s.Last)
			for _, n := range slices.Sorted(maps.Keys(s.Roots)) {
				fmt.Fprintf(&out, " root %d %x", n, s.Roots[n].Reveal())
			}
			for _, it := range c.Items[i] {
				fmt.Fprintf(&out, "\n%d %x %x %d", it.Number, it.Key, it.Value, it.Time)
			}
		}
		return out.String()
	}
	return norm(a) == norm(b)
}

var update = flag.Bool("update", false, "write testdata/v2.hex anew")

// TestKnownAnswer: files stay readable, and are written byte for byte alike. testdata/v2.hex is made anew by -update; files of version 1 are read still.
func TestKnownAnswer(t *testing.T) {
	got := hex.EncodeToString(encode(t, sample()))
	if *update {
		if err := os.WriteFile("testdata/v2.hex", []byte(got+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if c, _ := known(t, "testdata/v1.hex"); !same(c, withoutFiles(sample())) {
		t.Errorf("of version 1: %+v", c)
	}
	c, want := known(t, "testdata/v2.hex")
	if !same(c, sample()) {
		t.Errorf("%+v", c)
	}
	if got != want {
		t.Errorf("a file is written as\n%s\nwant\n%s", got, want)
	}
}

// known reads a file that was written before.
func known(t *testing.T, path string) (content, string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.TrimSpace(string(text))
	raw, err := hex.DecodeString(want)
	if err != nil {
		t.Fatal(err)
	}
	c, err := decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c, want
}

// withoutFiles is a file as version 1 has it.
func withoutFiles(c content) content {
	c.Header.Tenants[1].Chunks = 0
	c.Sections, c.Items = slices.Delete(c.Sections, 1, 2), slices.Delete(c.Items, 1, 2)
	return c
}

// TestRoundTrip: what is written is read, through the envelope, for any content.
func TestRoundTrip(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	to, err := ParseRecipients([]string{id.Recipient().String()})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		c := random(rt)
		var b bytes.Buffer
		w, err := NewWriter(&b, to, c.Header)
		if err != nil {
			rt.Fatal(err)
		}
		fill(t, w, c)
		ids, err := ReadIdentities(strings.NewReader("# mine\n" + id.String() + "\n"))
		if err != nil {
			rt.Fatal(err)
		}
		r, err := NewReader(&b, ids)
		if err != nil {
			rt.Fatal(err)
		}
		got, err := read(r)
		if err != nil || !same(got, c) {
			rt.Fatalf("read %+v (%v), wrote %+v", got, err, c)
		}
	})
}

func random(t *rapid.T) content {
	h := Header{Moment: unix(rapid.Int64Range(0, 1<<60).Draw(t, "moment")), Expires: unix(1 << 61)}
	for i := range rapid.IntRange(0, 3).Draw(t, "tenants") {
		h.Tenants = append(h.Tenants, Tenant{Name: eventstore.TenantID(fmt.Sprintf("t%d", i)), Number: uint32(i), Erased: rapid.Bool().Draw(t, "erased"),
			Last: uint64(rapid.IntRange(0, 100).Draw(t, "last"))})
	}
	c := content{Header: h, Sections: h.sections(Version)}
	for i := range c.Sections {
		s := &c.Sections[i]
		var items []Item
		n := rapid.IntRange(0, 20).Draw(t, "items")
		for k := range n {
			it := Item{Number: uint64(k + 1), Value: rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "value")}
			switch s.Kind {
			case Vault:
				it.Number, it.Key = 0, binary.BigEndian.AppendUint16(nil, uint16(k))
			case Events, Chunks:
				it.Number = uint64(3*k + 1)
			}
			items = append(items, it)
		}
		if s.Kind == Vault {
			s.Roots = map[uint32]secret.Bytes{}
			for _, tn := range h.Tenants {
				if !tn.Erased {
					s.Roots[tn.Number] = secret.New(bytes.Repeat([]byte{byte(tn.Number + 1)}, 32))
				}
			}
		}
		c.Items = append(c.Items, items)
	}
	return c
}

// TestCutAndChanged: a file that ends anywhere else, or has any bit changed, or anything behind it, is refused as damaged.
func TestCutAndChanged(t *testing.T) {
	whole := encode(t, sample())
	refused := func(what string, b []byte) {
		t.Helper()
		c, err := decode(b)
		if err == nil {
			t.Errorf("%s: accepted as %+v", what, c)
		} else if !errors.Is(err, eventstore.ErrDamaged) && !errors.Is(err, eventstore.ErrNewerVersion) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for n := range whole {
		refused(fmt.Sprintf("cut at %d", n), whole[:n])
		b := bytes.Clone(whole)
		b[n] ^= 1 << (n % 8)
		refused(fmt.Sprintf("changed at %d", n), b)
	}
	refused("something behind", append(bytes.Clone(whole), 0))
	refused("twice", append(bytes.Clone(whole), whole...))
}

// frames cuts a file into its frames.
func frames(b []byte) (out [][]byte) {
	for len(b) > 0 {
		n := 4 + int(binary.BigEndian.Uint32(b))
		out = append(out, b[:n])
		b = b[n:]
	}
	return out
}

// TestOrder: frames that change places, go missing or come twice are refused, whatever the trailer says of them.
func TestOrder(t *testing.T) {
	all := frames(encode(t, sample()))
	for i := range all {
		for j := range all {
			if i == j {
				continue
			}
			swapped := append([][]byte(nil), all...)
			swapped[i], swapped[j] = swapped[j], swapped[i]
			if bytes.Equal(all[i], all[j]) {
				continue
			}
			if _, err := decode(bytes.Join(swapped, nil)); !errors.Is(err, eventstore.ErrDamaged) {
				t.Errorf("frames %d and %d changed places: %v", i, j, err)
			}
		}
		missing := append(append([][]byte(nil), all[:i]...), all[i+1:]...)
		if _, err := decode(bytes.Join(missing, nil)); !errors.Is(err, eventstore.ErrDamaged) {
			t.Errorf("frame %d is missing: %v", i, err)
		}
		twice := append(append(append([][]byte(nil), all[:i+1]...), all[i]), all[i+1:]...)
		if _, err := decode(bytes.Join(twice, nil)); !errors.Is(err, eventstore.ErrDamaged) {
			t.Errorf("frame %d comes twice: %v", i, err)
		}
	}
}

// TestWriterKeepsOrder: the writer makes nothing that the reader would refuse.
func TestWriterKeepsOrder(t *testing.T) {
	c := sample()
	w, err := newWriter(&plain{}, c.Header)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Begin(c.Sections[1]); err == nil {
		t.Error("a section out of turn was begun")
	}
	if err := w.Close(); err == nil {
		t.Error("a file without its sections was ended")
	}
	if err := w.Begin(c.Sections[0]); err != nil {
		t.Fatal(err)
	}
	if err := w.Put(Item{Number: 4}); err != nil {
		t.Fatal(err)
	}
	if err := w.Put(Item{Number: 4}); err == nil {
		t.Error("a sequence stands twice")
	}
}

// TestEnvelope: nobody else opens a file, and a changed one does not open to its end.
func TestEnvelope(t *testing.T) {
	mine, _ := age.GenerateX25519Identity()
	other, _ := age.GenerateX25519Identity()
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	ids := func(text string) Identities {
		ids, err := ReadIdentities(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	seal := func(recipients ...string) []byte {
		to, err := ParseRecipients(recipients)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		w, err := NewWriter(&b, to, sample().Header)
		if err != nil {
			t.Fatal(err)
		}
		fill(t, w, sample())
		return b.Bytes()
	}
	b := seal(mine.Recipient().String())
	if _, err := NewReader(bytes.NewReader(b), ids(other.String())); !errors.Is(err, ErrIdentity) {
		t.Errorf("another's identity: %v", err)
	}
	if bytes.Contains(b, bytes.Repeat([]byte{0xA5}, 32)) || bytes.Contains(b, []byte("sealed")) {
		t.Error("what is in the file can be read without an identity")
	}
	if _, err := NewReader(bytes.NewReader(seal(hybrid.Recipient().String())), ids(hybrid.String())); err != nil {
		t.Errorf("a hybrid recipient: %v", err)
	}
	for _, at := range []int{len(b) - 1, len(b) / 2, 40} {
		changed := bytes.Clone(b)
		changed[at] ^= 1
		if r, err := NewReader(bytes.NewReader(changed), ids(mine.String())); err == nil {
			_, err = read(r)
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("changed at %d: %v", at, err)
			}
		}
		if r, err := NewReader(bytes.NewReader(b[:at]), ids(mine.String())); err == nil {
			if _, err := read(r); !errors.Is(err, ErrDamaged) {
				t.Errorf("cut at %d: %v", at, err)
			}
		}
	}
	if _, err := NewWriter(io.Discard, nil, Header{}); !errors.Is(err, ErrNoRecipient) {
		t.Errorf("nobody could open it: %v", err)
	}
	for _, secretive := range []string{mine.String(), "age1nonsense", ""} {
		if _, err := ParseRecipient(secretive); err == nil || secretive != "" && strings.Contains(err.Error(), secretive) {
			t.Errorf("a recipient that is none: %v", err)
		}
	}
}

// TestManyItems: batches are cut, and nothing is lost between them.
func TestManyItems(t *testing.T) {
	c := sample()
	c.Items[0] = nil
	for n := range 3 * frameItems {
		c.Items[0] = append(c.Items[0], Item{Number: uint64(2*n + 1), Value: bytes.Repeat([]byte{byte(n)}, 300), Time: time.Now().UnixNano()})
	}
	b := encode(t, c)
	if got := len(frames(b)); got < 12 {
		t.Errorf("%d frames only", got)
	}
	got, err := decode(b)
	if err != nil || len(got.Items[0]) != len(c.Items[0]) || !same(got, c) {
		t.Errorf("%v", err)
	}
}

// FuzzReader: whatever the bytes, the reader ends, with an error of its own kinds or with what the writer writes the same way.
func FuzzReader(f *testing.F) {
	f.Add(encode(f, sample()))
	f.Add([]byte{0, 0, 0, 1, 0})
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decode(b)
		if err != nil {
			if !errors.Is(err, eventstore.ErrDamaged) && !errors.Is(err, eventstore.ErrNewerVersion) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		again, err := decode(encode(t, c))
		if err != nil || !same(again, c) {
			t.Fatalf("written again it is another: %v", err)
		}
	})
}
