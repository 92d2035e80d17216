package eventstore

import (
	"bytes"
	"fmt"
	"sync"
)

// plaintext holds an event between its encoding and its sealing. Its buffers are used again, once they are cleared.
type plaintext struct {
	body    body
	encoded bytes.Buffer
	padded  []byte
}

// keptBuffer bounds the buffers that are kept.
const keptBuffer = 16 << 10

var plaintexts = sync.Pool{New: func() any { return new(plaintext) }}

// plaintext gives the padded plaintext of the flight's event. ErrTooLarge.
func (f *flight) plaintext() (*plaintext, error) {
	p := plaintexts.Get().(*plaintext)
	encoded, err := p.encode(&f.event)
	if err != nil {
		p.discard()
		return nil, err
	}
	p.padded = appendPacked(p.padded[:0], encoded, 0)
	return p, nil
}

func (p *plaintext) bytes() []byte { return p.padded }

// discard clears the buffers; nobody may use them any more.
func (p *plaintext) discard() {
	encoded := p.encoded.Bytes()
	clear(encoded)
	p.encoded.Reset()
	clear(p.padded)
	p.body = body{}
	if cap(encoded) <= keptBuffer && cap(p.padded) <= keptBuffer {
		plaintexts.Put(p)
	}
}

// encode gives the body of an event, which is valid until the next call of a method. ErrTooLarge.
func (p *plaintext) encode(e *Event) ([]byte, error) {
	p.body.Event = *e
	if !e.Time.IsZero() {
		ns := e.Time.UnixNano()
		p.body.Time = &ns
	}
	if id := e.Identity; id != nil && id.Namespace == NamespaceConversation {
		p.body.Identity = nil
	}
	err := cborEnc.MarshalToBuffer(&p.body, &p.encoded)
	out := p.encoded.Bytes()
	if err == nil && len(e.unknown) > 0 {
		out, err = merge(out, e.unknown)
	}
	if err != nil {
		return nil, fmt.Errorf("encoding an event: %w", err)
	}
	if len(out) > MaxEvent {
		return nil, Refuse(KindTooLarge, "", "the event is longer than 256 KiB")
	}
	return out, nil
}
