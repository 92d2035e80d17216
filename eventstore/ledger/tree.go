package ledger

import (
	"fmt"
	"iter"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/oubli-store/oubli/eventstore"
)

// Head names one state of a ledger: the size of its tree and the root hash. Whoever keeps one can hold the ledger to it.
type Head struct {
	Size uint64
	Root [32]byte
}

// Proof is a list of hashes, as in RFC 6962.
type Proof [][32]byte

// tree holds the hashes of a Merkle tree in tlog's order. It does no I/O and is not safe for concurrent use.
type tree struct {
	hashes []tlog.Hash
	size   uint64
}

// ReadHashes implements [tlog.HashReader].
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x < 0 || x >= int64(len(t.hashes)) {
			return nil, fmt.Errorf("hash %d is not in a tree of %d entries", x, t.size)
		}
		out[i] = t.hashes[x]
	}
	return out, nil
}

// add appends a leaf by its hash.
func (t *tree) add(leaf tlog.Hash) error {
	hashes, err := tlog.StoredHashesForRecordHash(int64(t.size), leaf, t)
	if err != nil {
		return err
	}
	t.hashes = append(t.hashes, hashes...)
	t.size++
	return nil
}

// leaf is the hash of entry number n, from 1.
func (t *tree) leaf(n uint64) tlog.Hash { return t.hashes[tlog.StoredHashIndex(0, int64(n-1))] }

// at is the head that the tree had at a size.
func (t *tree) at(size uint64) (Head, error) {
	if size > t.size {
		return Head{}, fmt.Errorf("%w: the ledger has %d entries, %d were asked for", eventstore.ErrInvalid, t.size, size)
	}
	root, err := tlog.TreeHash(int64(size), t)
	return Head{Size: size, Root: root}, err
}

// CheckInclusion checks that record is entry number n (from 1) of the tree with that head. ErrDamaged if the proof does not say so.
func CheckInclusion(head Head, n uint64, record []byte, proof Proof) error {
	if n == 0 || n > head.Size || head.Size > maxSize {
		return fmt.Errorf("%w: entry %d is not in a ledger of %d entries", eventstore.ErrDamaged, n, head.Size)
	}
	if err := tlog.CheckRecord(hashes(proof), int64(head.Size), head.Root, int64(n-1), tlog.RecordHash(record)); err != nil {
		return fmt.Errorf("%w: entry %d is not proved to be in the ledger", eventstore.ErrDamaged, n)
	}
	return nil
}

// CheckConsistency checks that the tree of newer begins with all of the tree of older. ErrDamaged if the proof does not say so.
func CheckConsistency(older, newer Head, proof Proof) error {
	bad := fmt.Errorf("%w: a ledger of %d entries is not proved to begin with the one of %d", eventstore.ErrDamaged, newer.Size, older.Size)
	switch {
	case older.Size > newer.Size || newer.Size > maxSize:
		return bad
	case older.Size == 0:
		// Every tree begins with the empty one; RFC 6962 has no proof of that.
		if len(proof) != 0 || older.Root != emptyRoot || (newer.Size == 0 && newer.Root != emptyRoot) {
			return bad
		}
		return nil
	}
	if tlog.CheckTree(hashes(proof), int64(newer.Size), newer.Root, int64(older.Size), older.Root) != nil {
		return bad
	}
	return nil
}

// maxSize keeps sizes within tlog's arithmetic.
const maxSize = 1 << 60

var emptyRoot = must(new(tree).at(0)).Root

func hashes(p Proof) []tlog.Hash {
	out := make([]tlog.Hash, len(p))
	for i, h := range p {
		out[i] = h
	}
	return out
}

func proof(p []tlog.Hash) Proof {
	out := make(Proof, len(p))
	for i, h := range p {
		out[i] = h
	}
	return out
}

// Verify reads a whole ledger, from record 1, and checks that every entry can be read, that no number is missing, and that the first
// head.Size records are those that head was made of. It returns the head of all of them. ErrDamaged names the damage; an error of
// records itself is returned as it is.
func Verify(records iter.Seq2[eventstore.Record, error], head Head) (Head, error) {
	t, err := build(records)
	if err != nil {
		return Head{}, err
	}
	if t.size < head.Size {
		return Head{}, fmt.Errorf("%w: the ledger has %d entries and had %d", eventstore.ErrDamaged, t.size, head.Size)
	}
	then, err := t.at(head.Size)
	if err != nil {
		return Head{}, err
	}
	if then.Root != head.Root {
		return Head{}, fmt.Errorf("%w: the first %d entries of the ledger are not those that the head was made of", eventstore.ErrDamaged, head.Size)
	}
	return t.at(t.size)
}

func build(records iter.Seq2[eventstore.Record, error]) (*tree, error) {
	t := &tree{}
	for r, err := range records {
		if err != nil {
			return nil, fmt.Errorf("reading ledger entry %d: %w", t.size+1, err)
		}
		if r.Number != t.size+1 {
			return nil, fmt.Errorf("%w: ledger entry %d is missing", eventstore.ErrDamaged, t.size+1)
		}
		if _, err := Decode(r.Data); err != nil {
			return nil, fmt.Errorf("ledger entry %d: %w", r.Number, err)
		}
		if err := t.add(tlog.RecordHash(r.Data)); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Tree is the Merkle tree of a ledger that was read from anywhere. It is not safe for concurrent use.
type Tree struct{ t *tree }

// Collect reads a whole ledger, from record 1. Errors as [Verify].
func Collect(records iter.Seq2[eventstore.Record, error]) (*Tree, error) {
	t, err := build(records)
	return &Tree{t}, err
}

// Holds checks that the ledger begins with the one that a head was made of. ErrDamaged says how it does not.
func (t *Tree) Holds(head Head) error {
	if t.t.size < head.Size {
		return fmt.Errorf("%w: the ledger has %d entries and had %d", eventstore.ErrDamaged, t.t.size, head.Size)
	}
	then, err := t.t.at(head.Size)
	if err == nil && then.Root != head.Root {
		err = fmt.Errorf("%w: the first %d entries of the ledger are not those that the head was made of", eventstore.ErrDamaged, head.Size)
	}
	return err
}

// Head names what was collected.
func (t *Tree) Head() Head { return must(t.t.at(t.t.size)) }
