package journal

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata anew")

func seq16(first byte) (b [16]byte) {
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

// samples are the records of the known answers, in order.
func samples() []any {
	r := [rowSize]byte{}
	for i := range r {
		r[i] = 0x80 + byte(i)
	}
	return []any{
		header{first: 1, id: Identity{Name: "default/CONV", Created: 1795000000123456789, Vault: seq16(0x10)}},
		Group{First: 7, Entries: []Entry{
			{Person: seq16(0x20), Row: r, Data: []byte("sealed")},
			{Data: []byte("control")},
			{Person: seq16(0x30), Data: bytes.Repeat([]byte{0xAA}, 200)},
		}},
		Group{First: 1 << 40, Entries: []Entry{{Data: []byte{}}}},
		Removal{Anchor: 6, AnchorEvent: seq16(0x40), Total: 3, Floor: 2, Sequences: []uint64{7, 9, 1 << 33}, Prefixes: [][8]byte{{1, 2, 3, 4, 5, 6, 7, 8}}},
		Removal{},
	}
}

func appendAny(dst []byte, rec any) []byte {
	switch rec := rec.(type) {
	case header:
		return appendHeader(dst, rec)
	case Group:
		return appendGroup(dst, rec)
	case Removal:
		return appendRemoval(dst, rec)
	}
	panic("not a record")
}

// normal makes nil and empty alike.
func normal(rec any) any {
	switch r := rec.(type) {
	case Group:
		r.Entries = append([]Entry{}, r.Entries...)
		for i := range r.Entries {
			r.Entries[i].Data = append([]byte{}, r.Entries[i].Data...)
		}
		return r
	case Removal:
		r.Sequences = append([]uint64{}, r.Sequences...)
		r.Prefixes = append([][8]byte{}, r.Prefixes...)
		return r
	}
	return rec
}

func TestKnownAnswers(t *testing.T) {
	var lines []string
	for _, rec := range samples() {
		lines = append(lines, hex.EncodeToString(appendAny(nil, rec)))
	}
	got := strings.Join(lines, "\n") + "\n"
	const file = "testdata/records.hex"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Fatalf("the records changed:\n%s\nwant\n%s", got, want)
	}
	for i, line := range strings.Fields(string(want)) {
		b, err := hex.DecodeString(line)
		if err != nil {
			t.Fatal(err)
		}
		rec, err := parse(b)
		if err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
		if !reflect.DeepEqual(normal(rec), normal(samples()[i])) {
			t.Errorf("record %d reads as %+v", i, rec)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good := appendAny(nil, samples()[1])
	for n := range good {
		if _, err := parse(good[:n]); err == nil {
			t.Errorf("the first %d bytes of a record were accepted", n)
		}
	}
	if _, err := parse(append(good, 0)); err == nil {
		t.Error("a byte too many was accepted")
	}
	newer := append([]byte{Version + 1}, good[1:]...)
	if _, err := parse(newer); err != ErrVersion {
		t.Errorf("a newer record: %v", err)
	}
	for _, bad := range [][]byte{
		appendGroup(nil, Group{First: 0, Entries: []Entry{{}}}),
		appendGroup(nil, Group{First: 1}),
		appendRemoval(nil, Removal{Sequences: []uint64{3, 3}}),
		{Version, 9},
	} {
		if rec, err := parse(bad); err == nil {
			t.Errorf("%x was accepted as %+v", bad, rec)
		}
	}
}

// FuzzParse: whatever is accepted is written the same way again.
func FuzzParse(f *testing.F) {
	for _, rec := range samples() {
		f.Add(appendAny(nil, rec))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, err := parse(b)
		if err != nil {
			return
		}
		if again := appendAny(nil, rec); !bytes.Equal(again, b) {
			t.Fatalf("%x reads as %+v, which is written %x", b, rec, again)
		}
	})
}

func ExampleGroup_Last() {
	g := Group{First: 7, Entries: make([]Entry, 3)}
	fmt.Println(g.Last())
	// Output: 9
}
