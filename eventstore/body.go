package eventstore

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/klauspost/compress/zstd"

	"github.com/oubli-store/oubli/eventstore/envelope"
)

// The plaintext of an envelope, before padding, is one byte that says its form (1 plain, 2 zstd; 128 more for the copy of an event that stays
// when a part of its person is erased) and then the body: a deterministic CBOR map (RFC 8949, 4.2.1)
// with whole numbers as keys, as the cbor tags of [Event] and [PersonEvent] say. Two events are the same if their bodies are, byte for byte; so
// a field keeps its number and its meaning for ever, a field that is not set is not written, and an event sent without a time has
// none in its body: readers take the receive time. New fields get new numbers at the top level; a reader that does not know them keeps them.
// A conversation's own handle and the expected sequence are not part of the body.
const (
	formPlain byte = 1
	formZstd  byte = 2
	// formCopy is added to the form of a copy. It is not in the body, so that a copy has the body of its original.
	formCopy byte = 0x80
)

const (
	// maxBody bounds a body, however small it was compressed.
	maxBody = 1 << 20
	// compressFrom is the size from which compression is tried. Below it, it costs 20 to 40 µs an event, about ten times what sealing does, and
	// saves some 150 bytes.
	compressFrom = 1 << 10
)

// body is an event as CBOR. The time is in nanoseconds since 1970.
type body struct {
	Time *int64 `cbor:"1,keyasint,omitempty"`
	Event
}

var (
	cborEnc = must(cbor.CoreDetEncOptions().UserBufferEncMode())
	// cborDec passes over unknown fields; cborStrict reports them.
	cborDec    = must(decOptions.DecMode())
	cborStrict = must(func() cbor.DecOptions {
		o := decOptions
		o.ExtraReturnErrors = cbor.ExtraDecErrorUnknownField
		return o
	}().DecMode())
	decOptions = cbor.DecOptions{
		DupMapKey:   cbor.DupMapKeyEnforcedAPF,
		IndefLength: cbor.IndefLengthForbidden,
		TagsMd:      cbor.TagsForbidden,
		// A person event carries up to 42 marks a month.
		MaxArrayElements: 1 << 17,
		MaxMapPairs:      1 << 10,
		MaxNestedLevels:  8,
	}
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// encodeBody gives the body of an event. ErrTooLarge.
func encodeBody(e *Event) ([]byte, error) {
	var p plaintext
	return p.encode(e)
}

// decodeBody reads the body of an event. ErrDamaged.
func decodeBody(in []byte) (Event, error) {
	var b body
	err := cborStrict.Unmarshal(in, &b)
	var unknown *cbor.UnknownFieldError
	if errors.As(err, &unknown) {
		b = body{}
		if err = cborDec.Unmarshal(in, &b); err == nil {
			b.unknown, err = beyond(in)
		}
	}
	if err != nil {
		return Event{}, ErrDamaged // the decoder's error could repeat a part of the event
	}
	if b.Time != nil {
		b.Event.Time = time.Unix(0, *b.Time).UTC()
	}
	return b.Event, nil
}

// lastField is the highest number of a field that this version knows.
const lastField = 26

// beyond gives the fields of a body that this version does not know.
func beyond(in []byte) ([]byte, error) {
	var fields map[uint64]cbor.RawMessage
	if err := cborDec.Unmarshal(in, &fields); err != nil {
		return nil, err
	}
	maps.DeleteFunc(fields, func(n uint64, _ cbor.RawMessage) bool { return n <= lastField })
	if len(fields) == 0 {
		return nil, nil
	}
	return cborEnc.Marshal(fields)
}

// merge gives a body the fields that an older version of it had beyond those that are known.
func merge(known, unknown []byte) ([]byte, error) {
	var fields map[uint64]cbor.RawMessage
	for _, b := range [][]byte{known, unknown} { // decoding into a map adds to it
		if err := cborDec.Unmarshal(b, &fields); err != nil {
			return nil, err
		}
	}
	return cborEnc.Marshal(fields)
}

var zstds = sync.OnceValue(func() (z struct {
	*zstd.Encoder
	*zstd.Decoder
}) {
	z.Encoder = must(zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<18)))
	z.Decoder = must(zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxBody), zstd.WithDecoderMaxWindow(maxBody), zstd.WithDecoderConcurrency(0)))
	return z
})

// pack gives the padded plaintext of a body, compressed if that makes it smaller once padded.
func pack(body []byte) []byte { return packForm(body, 0) }

// packForm is pack with a flag for the form.
func packForm(body []byte, flag byte) []byte { return appendPacked(nil, body, flag) }

// appendPacked appends what packForm gives.
func appendPacked(dst, body []byte, flag byte) []byte {
	form, in := formPlain, body
	if len(body) >= compressFrom {
		small := zstds().EncodeAll(body, make([]byte, 0, len(body)))
		if envelope.PaddedSize(1+len(small)) < envelope.PaddedSize(1+len(body)) {
			form, in = formZstd, small
		}
	}
	return envelope.Pad(slices.Grow(dst, envelope.PaddedSize(1+len(in))), []byte{form | flag}, in)
}

// unpack gives the body of a padded plaintext; it may alias it. ErrDamaged, ErrNewerVersion.
func unpack(padded []byte) ([]byte, error) {
	body, _, err := unpackForm(padded)
	return body, err
}

// unpackForm is unpack that also says whether it is a copy.
func unpackForm(padded []byte) (body []byte, copied bool, err error) {
	plain, err := envelope.Unpad(padded)
	if err != nil || len(plain) == 0 {
		return nil, false, ErrDamaged
	}
	copied = plain[0]&formCopy != 0
	switch plain[0] &^ formCopy {
	case formPlain:
		return plain[1:], copied, nil
	case formZstd:
		out, err := zstds().DecodeAll(plain[1:], nil)
		if err != nil {
			return nil, false, ErrDamaged
		}
		return out, copied, nil
	}
	return nil, false, ErrNewerVersion
}

// encodeChange gives the body of a person event.
func encodeChange(e PersonEvent) ([]byte, error) {
	out, err := cborEnc.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encoding a person event: %w", err)
	}
	if len(out) > maxBody {
		return nil, Refuse(KindTooLarge, "", "the person event is too long")
	}
	return out, nil
}

func decodeChange(in []byte) (PersonEvent, error) {
	var e PersonEvent
	if err := cborDec.Unmarshal(in, &e); err != nil {
		return PersonEvent{}, ErrDamaged
	}
	return e, nil
}
