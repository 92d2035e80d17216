package eventstore

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/oubli-store/oubli/eventstore/envelope"
)

var update = flag.Bool("update", false, "write the known answers anew")

func TestBodyRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvent(t)
		b, err := encodeBody(&e)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := encodeBody(&e)
		if !bytes.Equal(b, again) {
			t.Fatal("not deterministic")
		}
		padded := pack(b)
		if len(padded) != envelope.PaddedSize(1+len(b)) && len(b) < compressFrom {
			t.Fatalf("%d bytes are padded to %d", len(b), len(padded))
		}
		b, err = unpack(padded)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeBody(b)
		if err != nil {
			t.Fatal(err)
		}
		e.ExpectedSequence = nil // a condition, not a fact
		if !reflect.DeepEqual(got, e) {
			x, _ := json.Marshal(e)
			y, _ := json.Marshal(got)
			t.Fatalf("went in  %s\ncame out %s", x, y)
		}
	})
}

func TestBodyLeavesOut(t *testing.T) {
	e := Event{Type: TypeCustom, Conversation: "c", Identity: &Identity{NamespaceConversation, "b/c"}}
	b, err := encodeBody(&e)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeBody(b)
	if err != nil || got.Identity != nil || !got.Time.IsZero() {
		t.Errorf("identity %v, time %v, %v", got.Identity != nil, got.Time, err)
	}
	e.Time = time.Unix(0, 0).UTC()
	b, _ = encodeBody(&e)
	if got, err := decodeBody(b); err != nil || !got.Time.Equal(e.Time) {
		t.Errorf("the time 1970 came back as %v, %v", got.Time, err)
	}
}

// TestBodyKnownAnswers fixes the bytes on disk: they may be added to, never changed.
func TestBodyKnownAnswers(t *testing.T) {
	type vector struct {
		Event json.RawMessage `json:"event"`
		Body  string          `json:"body"`
	}
	const file = "testdata/body.json"
	var vectors []vector
	raw, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(raw, &vectors)
	}
	if err != nil || len(vectors) == 0 {
		t.Fatalf("reading the known answers: %v", err)
	}
	for i, v := range vectors {
		e, err := ParseEvent(v.Event)
		if err != nil {
			t.Fatalf("vector %d: %v", i, err)
		}
		b, err := encodeBody(&e)
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			vectors[i].Body = hex.EncodeToString(b)
			continue
		}
		if got := hex.EncodeToString(b); got != v.Body {
			t.Errorf("vector %d:\n got %s\nwant %s", i, got, v.Body)
		}
		old, err := hex.DecodeString(v.Body)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeBody(old)
		e.ExpectedSequence = nil
		if err != nil || !reflect.DeepEqual(back, e) {
			t.Errorf("vector %d does not decode to its event: %v", i, err)
		}
	}
	if *update {
		raw, _ := json.MarshalIndent(vectors, "", "  ")
		if err := os.WriteFile(file, append(raw, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBodyKeepsUnknownFields(t *testing.T) {
	e := Event{Type: TypeMessage, Conversation: "c", Text: "hello"}
	b, err := encodeBody(&e)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[uint64]any
	if err := cbor.Unmarshal(b, &fields); err != nil {
		t.Fatal(err)
	}
	fields[lastField+1] = map[uint64]any{1: "new"}
	fields[1000] = []any{uint64(7)}
	newer, err := cborEnc.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeBody(newer)
	if err != nil || got.Text != "hello" {
		t.Fatalf("a newer body: %v", err)
	}
	again, err := encodeBody(&got)
	if err != nil || !bytes.Equal(again, newer) {
		t.Errorf("it comes back as %x, want %x, %v", again, newer, err)
	}
	got.Text = "rectified"
	again, _ = encodeBody(&got)
	if back, err := decodeBody(again); err != nil || back.Text != "rectified" || len(back.unknown) == 0 {
		t.Errorf("a changed one: %v", err)
	}
}

// TestBodyLastField fails when a field is added without raising lastField.
func TestBodyLastField(t *testing.T) {
	highest := uint64(0)
	e, err := ParseEvent([]byte(fullEvent))
	if err != nil {
		t.Fatal(err)
	}
	e.Attachment = &File{Size: 1}
	b, _ := encodeBody(&e)
	var fields map[uint64]cbor.RawMessage
	if err := cbor.Unmarshal(b, &fields); err != nil {
		t.Fatal(err)
	}
	for n := range fields {
		highest = max(highest, n)
	}
	if highest != lastField || len(fields) != lastField {
		t.Errorf("%d fields, the last one %d; lastField is %d", len(fields), highest, lastField)
	}
}

func TestPackCompresses(t *testing.T) {
	long := []byte(strings.Repeat("Bonjour, où est ma commande ? ", 100))
	packed := pack(long)
	if len(packed) > len(long)/2 {
		t.Errorf("%d bytes were packed to %d", len(long), len(packed))
	}
	if got, err := unpack(packed); err != nil || !bytes.Equal(got, long) {
		t.Errorf("unpack: %v", err)
	}
}

func TestUnpackIsBounded(t *testing.T) {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	bomb := w.EncodeAll(make([]byte, 64<<20), nil)
	plain := envelope.Pad(nil, append([]byte{formZstd}, bomb...))
	if _, err := unpack(plain); !errors.Is(err, ErrDamaged) {
		t.Errorf("a bomb: %v", err)
	}
	for _, c := range []struct {
		plain []byte
		want  error
	}{
		{nil, ErrDamaged},
		{envelope.Pad(nil, nil), ErrDamaged},
		{envelope.Pad(nil, []byte{9, 1}), ErrNewerVersion},
		{envelope.Pad(nil, []byte{formZstd, 1, 2, 3}), ErrDamaged},
	} {
		if _, err := unpack(c.plain); !errors.Is(err, c.want) {
			t.Errorf("%x: %v, want %v", c.plain[:min(8, len(c.plain))], err, c.want)
		}
	}
}

func TestChangeRoundTrip(t *testing.T) {
	want := PersonEvent{Kind: PersonLinked, Persons: []PersonID{{1}, {2}}, First: 7, Marks: []PeriodMark{
		{Period: Period{Day, 20000}, Mark: Mark{3}},
		{Period: Period{Week, -3}, Mark: Mark{4}, To: Mark{5}},
	}}
	b, err := encodeChange(want)
	if err != nil {
		t.Fatal(err)
	}
	const known = "a401666c696e6b6564028250010000000000000000000000000000005002000000000000000000000000000000038" +
		"2a201a201186402194e20025003000000000000000000000000000000a301a2011877022202500400000000000000000000000000000003500500000000000000000000000000000004" + "07"
	if got := hex.EncodeToString(b); got != known {
		t.Errorf("got  %s\nwant %s", got, known)
	}
	if got, err := decodeChange(b); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := decodeChange(b[:len(b)-1]); !errors.Is(err, ErrDamaged) {
		t.Errorf("cut: %v", err)
	}
}

func FuzzDecodeBody(f *testing.F) {
	e, _ := ParseEvent([]byte(fullEvent))
	b, _ := encodeBody(&e)
	f.Add(pack(b))
	f.Add(pack([]byte{0xa0}))
	f.Fuzz(func(t *testing.T, padded []byte) {
		b, err := unpack(padded)
		if err != nil {
			b = padded
		}
		if len(b) > maxBody && err == nil {
			t.Fatalf("unpacked to %d bytes", len(b))
		}
		e, err := decodeBody(b)
		if err != nil {
			return
		}
		out, err := encodeBody(&e)
		if err != nil {
			return
		}
		again, err := decodeBody(out)
		if err != nil || !reflect.DeepEqual(e, again) {
			t.Fatalf("%x does not come back: %v", out, err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	in := []byte(benchEvent)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseEvent(in); err != nil {
			b.Fatal(err)
		}
	}
}

const benchEvent = `{"id":"k-0001","time":"2026-11-22T10:00:00.123Z","identity":{"namespace":"email","id":"alice@example.com"},` +
	`"conversation":"c-1","type":"message","author":"user","bot":"shop-fr","channel":"web","language":"fr",` +
	`"text":"Bonjour, où est ma commande A17 ?","intent":{"name":"order_status","confidence":0.93},` +
	`"entities":[{"type":"order","value":"A17","start":28,"end":31}]}`

func BenchmarkEncode(b *testing.B) {
	e, err := ParseEvent([]byte(benchEvent))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		body, err := encodeBody(&e)
		if err != nil {
			b.Fatal(err)
		}
		pack(body)
	}
}

func BenchmarkDecode(b *testing.B) {
	e, err := ParseEvent([]byte(benchEvent))
	if err != nil {
		b.Fatal(err)
	}
	body, _ := encodeBody(&e)
	packed := pack(body)
	b.ReportMetric(float64(len(packed)), "padded-bytes")
	b.ReportAllocs()
	for b.Loop() {
		body, err := unpack(packed)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := decodeBody(body); err != nil {
			b.Fatal(err)
		}
	}
}

// TestPackLeavesShortOnes: below compressFrom nothing is compressed, and what was compressed at any size still opens.
func TestPackLeavesShortOnes(t *testing.T) {
	short := bytes.Repeat([]byte("a"), compressFrom-1)
	if padded := pack(short); len(padded) != envelope.PaddedSize(1+len(short)) {
		t.Errorf("%d bytes were packed to %d", len(short), len(padded))
	}
	if padded := pack(append(short, 'a')); len(padded) >= len(short) {
		t.Errorf("%d bytes were packed to %d", compressFrom, len(padded))
	}
	for _, n := range []int{1, 300, 3000} {
		body := bytes.Repeat([]byte("a"), n)
		plain := append([]byte{formZstd}, zstds().EncodeAll(body, nil)...)
		if got, err := unpack(envelope.Pad(nil, plain)); err != nil || !bytes.Equal(got, body) {
			t.Errorf("a compressed body of %d bytes: %v", n, err)
		}
	}
}
