package envelope

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"

	"pgregory.net/rapid"
)

// TestVectors fixes the bytes on the wire: they are worked out by hand from the package comment.
func TestVectors(t *testing.T) {
	var vectors []struct {
		Tenant, Person, Event, Ciphertext, Wire, Associated string
		Month                                               uint16
	}
	load(t, "testdata/envelope.json", &vectors)
	for i, v := range vectors {
		e := Envelope{Event: [16]byte(unhex(t, v.Event)), Month: v.Month, Ciphertext: unhex(t, v.Ciphertext)}
		if got := hex.EncodeToString(e.Append(nil)); got != v.Wire {
			t.Errorf("vector %d: wire\n got %s\nwant %s", i, got, v.Wire)
		}
		if got := hex.EncodeToString(e.AppendAssociated(nil, v.Tenant, [16]byte(unhex(t, v.Person)))); got != v.Associated {
			t.Errorf("vector %d: associated data\n got %s\nwant %s", i, got, v.Associated)
		}
		got, err := Parse(unhex(t, v.Wire))
		if err != nil || got.Event != e.Event || got.Month != e.Month || !bytes.Equal(got.Ciphertext, e.Ciphertext) {
			t.Errorf("vector %d: parsed %+v, %v", i, got, err)
		}
	}
}

func TestPadVectors(t *testing.T) {
	var vectors []struct{ Body, Size int }
	load(t, "testdata/padding.json", &vectors)
	for _, v := range vectors {
		if got := PaddedSize(v.Body); got != v.Size {
			t.Errorf("a body of %d bytes: %d, want %d", v.Body, got, v.Size)
		}
	}
	if got := hex.EncodeToString(Pad(nil, []byte("abc"))[:8]); got != "0000000361626300" {
		t.Errorf("Pad: %s…", got)
	}
}

func load(t *testing.T, file string, to any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseRefuses(t *testing.T) {
	good := Envelope{Ciphertext: []byte("x")}.Append(nil)
	if _, err := Parse(good[:HeaderSize-1]); !errors.Is(err, ErrShort) {
		t.Errorf("short: %v", err)
	}
	if _, err := Parse(nil); !errors.Is(err, ErrShort) {
		t.Errorf("empty: %v", err)
	}
	good[0] = 2
	if _, err := Parse(good); !errors.Is(err, ErrVersion) {
		t.Errorf("another version: %v", err)
	}
}

func TestEnvelopeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := Envelope{Month: rapid.Uint16().Draw(t, "month"), Ciphertext: rapid.SliceOf(rapid.Byte()).Draw(t, "ciphertext")}
		copy(e.Event[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "event"))
		wire := e.Append(nil)
		if len(wire) != e.Size() {
			t.Fatalf("%d bytes, Size says %d", len(wire), e.Size())
		}
		got, err := Parse(wire)
		if err != nil || got.Event != e.Event || got.Month != e.Month || !bytes.Equal(got.Ciphertext, e.Ciphertext) {
			t.Fatalf("%+v came back as %+v, %v", e, got, err)
		}
	})
}

// TestAssociatedIsInjective: no two different places share their associated data.
func TestAssociatedIsInjective(t *testing.T) {
	type place struct {
		tenant string
		person [16]byte
		event  [16]byte
		month  uint16
	}
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) place {
			p := place{tenant: rapid.StringMatching(`[a-b]{1,3}`).Draw(t, label), month: rapid.Uint16Range(0, 2).Draw(t, label)}
			p.person[rapid.IntRange(0, 15).Draw(t, label)] = 'a'
			p.event[rapid.IntRange(0, 15).Draw(t, label)] = 'a'
			return p
		}
		associated := func(p place) []byte {
			return Envelope{Event: p.event, Month: p.month}.AppendAssociated(nil, p.tenant, p.person)
		}
		a, b := draw("a"), draw("b")
		if bytes.Equal(associated(a), associated(b)) != (a == b) {
			t.Fatalf("%+v and %+v", a, b)
		}
	})
}

func TestPadding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SliceOfN(rapid.Byte(), 0, 5000).Draw(t, "body")
		padded := Pad([]byte("before"), body)[len("before"):]
		if len(padded) != PaddedSize(len(body)) || len(padded) < len(body)+4 {
			t.Fatalf("%d bytes are padded to %d", len(body), len(padded))
		}
		if len(body) > 1024 && float64(len(padded)) > 1.12*float64(len(body)+4) {
			t.Fatalf("%d bytes are padded to %d: more than 12 %%", len(body), len(padded))
		}
		got, err := Unpad(padded)
		if err != nil || !bytes.Equal(got, body) {
			t.Fatalf("Unpad: %v", err)
		}
	})
	last := 0
	for n := range 300 << 10 {
		size := PaddedSize(n)
		if size < last {
			t.Fatalf("a body of %d bytes is padded to less than a shorter one", n)
		}
		last = size
	}
}

func TestUnpadRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":          nil,
		"no length":        {0, 0, 0},
		"cut":              Pad(nil, []byte("abc"))[:63],
		"too long":         append(Pad(nil, []byte("abc")), 0),
		"another bucket":   append(Pad(nil, []byte("abc")), make([]byte, 64)...),
		"a length beyond":  append([]byte{0xff, 0xff, 0xff, 0xff}, make([]byte, 60)...),
		"not only padding": append(Pad(nil, []byte("abc"))[:63], 1),
	} {
		if _, err := Unpad(b); !errors.Is(err, ErrPadding) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Envelope{Event: [16]byte{1}, Month: 682, Ciphertext: []byte("x")}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Parse(b)
		if err == nil && !bytes.Equal(e.Append(nil), b) {
			t.Fatalf("%x does not come back", b)
		}
	})
}

func FuzzUnpad(f *testing.F) {
	f.Add(Pad(nil, []byte("abc")))
	f.Fuzz(func(t *testing.T, b []byte) {
		body, err := Unpad(b)
		if err == nil && !bytes.Equal(Pad(nil, body), b) {
			t.Fatalf("%x does not come back", b)
		}
	})
}

func ExampleEnvelope() {
	e := Envelope{
		Event:      [16]byte{0x01, 0x9a, 0xa9, 0xb1, 0x7c, 0x80, 15: 0xff},
		Month:      682, // November 2026
		Ciphertext: []byte("nonce, body, tag"),
	}
	wire := e.Append(nil)
	fmt.Printf("version %x\nevent   %x\nmonth   %x\nsealed  %q\n", wire[0], wire[1:17], wire[17:19], wire[19:])

	// What the vault binds to the ciphertext of this event of this person of the tenant "default":
	person := [16]byte{15: 0x07}
	fmt.Printf("%q\n", e.AppendAssociated(nil, "default", person))

	back, err := Parse(wire)
	fmt.Println(back.Month, err)
	// Output:
	// version 1
	// event   019aa9b17c80000000000000000000ff
	// month   02aa
	// sealed  "nonce, body, tag"
	// "oubli/event/1\x00\adefault\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\a\x01\x9a\xa9\xb1|\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\x01\x02\xaa"
	// 682 <nil>
}
