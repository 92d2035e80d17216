package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"time"

	"filippo.io/age"
)

// Writer writes one file. It is not safe for concurrent use.
type Writer struct {
	out      io.WriteCloser // the age envelope
	sum      hash.Hash
	due      []Section
	open     *Section
	items    []Item
	size     int
	count    uint64
	sections uint64
	total    uint64
	last     uint64
	lastKey  []byte
	err      error
}

// NewWriter begins a file, sealed to the recipients, of which there must be one at least.
func NewWriter(dst io.Writer, recipients Recipients, h Header) (*Writer, error) {
	if len(recipients) == 0 {
		return nil, ErrNoRecipient
	}
	out, err := age.Encrypt(dst, recipients.age()...)
	if err != nil {
		return nil, fmt.Errorf("sealing the backup: %w", err)
	}
	return newWriter(out, h)
}

// newWriter writes the frames themselves.
func newWriter(out io.WriteCloser, h Header) (*Writer, error) {
	w := &Writer{out: out, sum: sha256.New(), due: h.sections(Version)}
	wire := wireHeader{Magic: magic, Version: Version, Vault: h.Vault[:], Moment: h.Moment.UnixNano(), Expires: h.Expires.UnixNano(), Program: h.Program}
	for _, t := range h.Tenants {
		wire.Tenants = append(wire.Tenants, wireTenant(t))
	}
	return w, w.record(kindHeader, wire)
}

// record writes one frame.
func (w *Writer) record(kind uint8, body any) error {
	if w.err != nil {
		return w.err
	}
	b, err := encoding.Marshal(body)
	if err == nil {
		b, err = encoding.Marshal(record{Kind: kind, Body: b})
	}
	if err == nil && len(b) > maxFrame {
		err = fmt.Errorf("a record of the backup has %d bytes; the most is %d", len(b), maxFrame)
	}
	if err == nil {
		frame := append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(b)), uint32(len(b))), b...)
		clear(b) // it may hold root keys
		w.sum.Write(frame)
		_, err = w.out.Write(frame)
		clear(frame)
	}
	w.err = err
	return err
}

// Begin begins the next section, which must be the one that is due.
func (w *Writer) Begin(s Section) error {
	if w.open != nil || len(w.due) == 0 || w.due[0].Kind != s.Kind || w.due[0].Tenant != s.Tenant {
		return fmt.Errorf("backup: the section %s is not due", s)
	}
	wire := wireSection{Kind: s.Kind, Tenant: s.Tenant, Last: s.Last}
	for _, n := range slices.Sorted(maps.Keys(s.Roots)) {
		wire.Roots = append(wire.Roots, wireRoot{n, s.Roots[n].Reveal()})
	}
	w.open, w.due = &s, w.due[1:]
	w.count, w.last, w.lastKey = 0, 0, nil
	return w.record(kindSection, wire)
}

// Put writes one item of the open section.
func (w *Writer) Put(i Item) error {
	if w.open == nil {
		return fmt.Errorf("backup: no section is open")
	}
	if err := follows(w.open.Kind, i, w.last, w.lastKey, w.count == 0); err != nil {
		return fmt.Errorf("backup: section %s: %w", w.open, err)
	}
	w.last, w.lastKey = i.Number, append(w.lastKey[:0], i.Key...)
	w.count++
	w.items = append(w.items, Item{Number: i.Number, Key: bytes.Clone(i.Key), Value: bytes.Clone(i.Value), Time: i.Time})
	if w.size += i.size(); w.size < frameBytes && len(w.items) < frameItems {
		return nil
	}
	return w.flush()
}

// follows checks that an item stands behind the one before.
func follows(kind Kind, i Item, last uint64, lastKey []byte, first bool) error {
	ok := i.Number > last
	switch kind {
	case Vault:
		ok = i.Number == 0 && (first || bytes.Compare(i.Key, lastKey) > 0)
	case Releases, Ledger:
		ok = i.Number == last+1
	}
	if !ok {
		return fmt.Errorf("%w: an item is missing or stands in the wrong place", ErrDamaged)
	}
	return nil
}

func (w *Writer) flush() error {
	if len(w.items) == 0 {
		return w.err
	}
	err := w.record(kindItems, w.items)
	w.items, w.size = w.items[:0], 0
	return err
}

// End ends the open section.
func (w *Writer) End() error {
	if w.open == nil {
		return fmt.Errorf("backup: no section is open")
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.open = nil
	w.sections++
	w.total += w.count
	return w.record(kindEnd, wireEnd{w.count})
}

// Close writes the trailer and ends the envelope. A file without it is refused.
func (w *Writer) Close() error {
	if w.err == nil && (w.open != nil || len(w.due) > 0) {
		return fmt.Errorf("backup: it is not complete")
	}
	if err := w.record(kindTrailer, wireTrailer{w.total, w.sections, w.sum.Sum(nil)}); err != nil {
		return err
	}
	if err := w.out.Close(); err != nil {
		return fmt.Errorf("ending the backup: %w", err)
	}
	return nil
}

func unix(nanos int64) time.Time { return time.Unix(0, nanos).UTC() }
