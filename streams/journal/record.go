package journal

import (
	"encoding/binary"
	"errors"
	"slices"
)

// Version is the only version of the records so far.
const Version = 1

const (
	kindHeader  = 1
	kindGroup   = 2
	kindRemoval = 3

	flagPerson = 1
	flagRow    = 2

	personSize = 16
	rowSize    = 24
)

var (
	// ErrDamaged: the journal is not what was written.
	ErrDamaged = errors.New("journal: damaged")
	// ErrVersion: a record is of a version that this program does not know.
	ErrVersion = errors.New("journal: of a version that this program does not know")
)

// Identity is what a journal belongs to.
type Identity struct {
	// Name is tenant/stream, at most 255 bytes.
	Name string
	// Created is when the stream was created, in nanoseconds since 1970.
	Created int64
	Vault   [16]byte
}

// Entry is one message of a group.
type Entry struct {
	Person [personSize]byte
	Row    [rowSize]byte
	Data   []byte
}

// Group is a run of entries that were synced together; the sequence of Entries[i] is First+i.
type Group struct {
	First   uint64
	Entries []Entry
}

// Last is the sequence of the last entry.
func (g Group) Last() uint64 { return g.First + uint64(len(g.Entries)) - 1 }

// Removal says that entries are about to be destroyed.
type Removal struct {
	Anchor      uint64
	AnchorEvent [16]byte
	// Total counts the entries that were given up so far, these included.
	Total uint64
	// Floor: every entry up to here was given up (0: none).
	Floor uint64
	// Sequences ascend.
	Sequences []uint64
	Prefixes  [][8]byte
}

// header is the first record of a segment.
type header struct {
	first uint64
	id    Identity
}

func appendHeader(dst []byte, h header) []byte {
	dst = append(dst, Version, kindHeader)
	dst = binary.BigEndian.AppendUint64(dst, h.first)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.id.Created))
	dst = append(dst, h.id.Vault[:]...)
	dst = append(dst, byte(len(h.id.Name)))
	return append(dst, h.id.Name...)
}

func appendGroup(dst []byte, g Group) []byte {
	dst = append(dst, Version, kindGroup)
	dst = binary.BigEndian.AppendUint64(dst, g.First)
	dst = binary.AppendUvarint(dst, uint64(len(g.Entries)))
	for _, e := range g.Entries {
		var flags byte
		if e.Person != ([personSize]byte{}) {
			flags |= flagPerson
		}
		if e.Row != ([rowSize]byte{}) {
			flags |= flagRow
		}
		dst = append(dst, flags)
		if flags&flagPerson != 0 {
			dst = append(dst, e.Person[:]...)
		}
		if flags&flagRow != 0 {
			dst = append(dst, e.Row[:]...)
		}
		dst = binary.AppendUvarint(dst, uint64(len(e.Data)))
		dst = append(dst, e.Data...)
	}
	return dst
}

func appendRemoval(dst []byte, r Removal) []byte {
	dst = append(dst, Version, kindRemoval)
	dst = binary.BigEndian.AppendUint64(dst, r.Anchor)
	dst = append(dst, r.AnchorEvent[:]...)
	dst = binary.BigEndian.AppendUint64(dst, r.Total)
	dst = binary.BigEndian.AppendUint64(dst, r.Floor)
	dst = binary.AppendUvarint(dst, uint64(len(r.Sequences)))
	var before uint64
	for _, s := range r.Sequences {
		dst = binary.AppendUvarint(dst, s-before)
		before = s
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.Prefixes)))
	for _, p := range r.Prefixes {
		dst = append(dst, p[:]...)
	}
	return dst
}

// cursor reads a record; after a short read bad is set and everything is zero.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) bytes(n uint64) []byte {
	if c.bad || n > uint64(len(c.b)) {
		c.bad = true
		return nil
	}
	b := c.b[:n:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) u8() byte {
	if b := c.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	// One way only to write a number: a longer form is not ours.
	if c.bad || n <= 0 || (n > 1 && c.b[n-1] == 0) {
		c.bad = true
		return 0
	}
	c.b = c.b[n:]
	return v
}

// count reads a number of things of at least size bytes each, so that a bad count allocates nothing.
func (c *cursor) count(size int) uint64 {
	n := c.uvarint()
	if n > uint64(len(c.b)/size) {
		c.bad = true
		return 0
	}
	return n
}

// parse reads one record: a header, a [Group] or a [Removal]. The data of entries aliases b.
func parse(b []byte) (any, error) {
	c := &cursor{b: b}
	version, kind := c.u8(), c.u8()
	if !c.bad && version != Version {
		return nil, ErrVersion
	}
	var out any
	switch kind {
	case kindHeader:
		h := header{first: c.u64()}
		h.id.Created = int64(c.u64())
		copy(h.id.Vault[:], c.bytes(16))
		h.id.Name = string(c.bytes(uint64(c.u8())))
		c.bad = c.bad || h.first == 0
		out = h
	case kindGroup:
		out = parseGroup(c)
	case kindRemoval:
		out = parseRemoval(c)
	default:
		c.bad = true
	}
	if c.bad || len(c.b) != 0 {
		return nil, ErrDamaged
	}
	return out, nil
}

func parseGroup(c *cursor) Group {
	g := Group{First: c.u64()}
	n := c.count(2)
	c.bad = c.bad || n == 0 || g.First == 0 || g.First+n < g.First
	if c.bad {
		return g
	}
	g.Entries = make([]Entry, n)
	for i := range g.Entries {
		e := &g.Entries[i]
		flags := c.u8()
		c.bad = c.bad || flags&^(flagPerson|flagRow) != 0
		if flags&flagPerson != 0 {
			copy(e.Person[:], c.bytes(personSize))
			c.bad = c.bad || e.Person == [personSize]byte{}
		}
		if flags&flagRow != 0 {
			copy(e.Row[:], c.bytes(rowSize))
			c.bad = c.bad || e.Row == [rowSize]byte{}
		}
		e.Data = c.bytes(c.uvarint())
	}
	return g
}

func parseRemoval(c *cursor) Removal {
	r := Removal{Anchor: c.u64()}
	copy(r.AnchorEvent[:], c.bytes(16))
	r.Total = c.u64()
	r.Floor = c.u64()
	n := c.count(1)
	r.Sequences = slices.Grow(r.Sequences, int(n))
	var before uint64
	for range n {
		d := c.uvarint()
		c.bad = c.bad || d == 0 || before+d < before
		if c.bad {
			return r
		}
		before += d
		r.Sequences = append(r.Sequences, before)
	}
	n = c.count(8)
	for range n {
		var p [8]byte
		copy(p[:], c.bytes(8))
		r.Prefixes = append(r.Prefixes, p)
	}
	return r
}
