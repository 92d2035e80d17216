package register

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// MaxCopies bounds the copies of a register.
const MaxCopies = 8

const (
	headerBlocks = 2
	idSize       = 16
	epochAt      = len(fileMagic) + 1 + 16
	selfAt       = epochAt + 8
	countAt      = selfAt + idSize
)

// copyID names one copy of a register. It is random and says nothing.
type copyID [idSize]byte

func newCopyID() (id copyID) {
	rand.Read(id[:]) // never fails
	return id
}

// header is what a copy knows of itself and of the others.
type header struct {
	epoch uint64
	self  copyID
	all   []copyID // ascending
}

// with is a later header of the same copy.
func (h header) with(epoch uint64, all []copyID) header {
	all = slices.Clone(all)
	slices.SortFunc(all, copyID.compare)
	return header{epoch, h.self, slices.Compact(all)}
}

func (c copyID) compare(o copyID) int { return bytes.Compare(c[:], o[:]) }

func (h header) block(vault [16]byte) []byte {
	b := append([]byte(fileMagic), Version)
	b = append(b, vault[:]...)
	b = binary.BigEndian.AppendUint64(b, h.epoch)
	b = append(b, h.self[:]...)
	b = append(b, byte(len(h.all)))
	for _, id := range h.all {
		b = append(b, id[:]...)
	}
	return checksummed(append(b, make([]byte, bodySize-len(b))...))
}

// decodeHeader reads one header block. sound is false for one that was torn or damaged.
func decodeHeader(block []byte, vault [16]byte) (h header, whole bool, err error) {
	if !sound(block) || !bytes.HasPrefix(block, []byte(fileMagic)) || block[len(fileMagic)] > Version {
		return h, false, nil
	}
	if !bytes.Equal(block[len(fileMagic)+1:][:16], vault[:]) {
		return h, false, fmt.Errorf("%s belongs to another vault: %w", FileName, ErrDamaged)
	}
	n := int(block[countAt])
	if n == 0 || n > MaxCopies {
		return h, false, fmt.Errorf("%s: its header lists %d copies: %w", FileName, n, ErrDamaged)
	}
	h.epoch = binary.BigEndian.Uint64(block[epochAt:])
	copy(h.self[:], block[selfAt:])
	for i := range n {
		h.all = append(h.all, copyID(block[countAt+1+i*idSize:][:idSize]))
	}
	return h, true, nil
}

// readHeader takes the newest of the header's blocks that are sound.
func (r *File) readHeader() error {
	info, err := r.f.Stat()
	if err != nil {
		return err
	}
	r.size = info.Size()
	found, same, newer := 0, true, false
	for i := range int64(headerBlocks) {
		block := make([]byte, blockSize)
		if _, err := r.f.ReadAt(block, i*blockSize); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("%s: reading its header: %w", FileName, err)
		}
		newer = newer || bytes.HasPrefix(block, []byte(fileMagic)) && block[len(fileMagic)] > Version
		h, whole, err := decodeHeader(block, r.vault)
		if err != nil {
			return err
		}
		if !whole {
			continue
		}
		same = same && (found == 0 || h.epoch == r.head.epoch)
		if found == 0 || h.epoch > r.head.epoch {
			r.head = h
		}
		found++
	}
	r.ragged = found < headerBlocks || !same
	switch {
	case found == 0 && newer:
		return fmt.Errorf("%s: %w", FileName, ErrVersion)
	case found == 0:
		return fmt.Errorf("%s: its header is damaged: %w", FileName, ErrDamaged)
	}
	return nil
}

// writeHeader replaces both blocks, one after the other, so that one of them is sound at any time.
func (r *File) writeHeader(h header) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range int64(headerBlocks) {
		if _, err := r.f.WriteAt(h.block(r.vault), i*blockSize); err != nil {
			return fmt.Errorf("%s: writing its header: %w", FileName, err)
		}
		if err := r.f.Sync(); err != nil {
			return fmt.Errorf("%s: syncing: %w", FileName, err)
		}
	}
	r.head, r.ragged = h, false
	return nil
}
