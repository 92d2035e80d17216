package register

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/oubli-store/oubli/keyvault/secret"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Options say which register to open.
type Options struct {
	// Dirs are the directories of the copies; this process has locked them.
	Dirs []string
	// Vault and Key are what [LoadKeys] found, or what was drawn for a new vault.
	Vault [16]byte
	Key   secret.Bytes
	// KEK wraps the register key for a copy that has none, or an old wrapping.
	KEK tink.AEAD
	// Create makes a register if no directory holds one.
	Create bool
	// Look opens what is there and writes nothing: [Copies.Held] says what the copies hold, those not yet part of the register among them.
	Look bool
	// Lost gives up the copies that are missing: see the package comment.
	Lost bool
}

// opening is an opening under way.
type opening struct {
	fs   vfs.FS
	o    Options
	have []*found
	// empty are the directories without a register.
	empty []string
	// newest is the newest epoch, members the list that goes with it.
	newest  uint64
	members []copyID
	// lost counts the copies that are given up.
	lost int
}

// found is a copy that is there.
type found struct {
	*File
	dir   string
	stale bool
}

// Open opens every copy of a register and puts the list of the copies in order. lost is how many were given up. Nothing is written unless all that was
// found fits together. Errors: ErrMissing, ErrDamaged, ErrVersion.
func Open(fs vfs.FS, o Options) (c *Copies, lost int, err error) {
	p := &opening{fs: fs, o: o}
	defer func() {
		if err != nil {
			for _, f := range p.have {
				err = errors.Join(err, f.Close())
			}
		}
	}()
	steps := []func() error{p.find, p.begin, p.list, p.missing, p.keys, p.settle, p.fill}
	if o.Look {
		p.o.Create, steps = false, steps[:4]
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, 0, err
		}
	}
	c = &Copies{}
	for _, f := range p.have {
		c.each = append(c.each, oneCopy{f.File, f.dir, f.stale})
	}
	return c, p.lost, nil
}

// find opens what is there.
func (p *opening) find() error {
	for _, dir := range p.o.Dirs {
		f, err := openFile(p.fs, dir, p.o.Vault, p.o.Key)
		if isNotExist(err) {
			p.empty = append(p.empty, dir)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		if _, err := p.fs.Stat(p.fs.PathJoin(dir, KeyFileName)); isNotExist(err) {
			return errors.Join(fmt.Errorf("%s: %s is missing: %w", dir, KeyFileName, ErrDamaged), f.Close())
		}
		for _, other := range p.have {
			if other.head.self == f.head.self {
				return errors.Join(fmt.Errorf("%s is a copy of the files in %s, which nobody keeps track of; empty it, and it is filled: %w", dir, other.dir, ErrDamaged), f.Close())
			}
		}
		p.have = append(p.have, &found{File: f, dir: dir})
	}
	return nil
}

// begin makes the first copy of a new register.
func (p *opening) begin() error {
	if len(p.have) > 0 {
		return nil
	}
	if !p.o.Create {
		return fmt.Errorf("%s is missing in %s: %w", FileName, strings.Join(p.o.Dirs, ", "), ErrDamaged)
	}
	dir := p.empty[0]
	p.empty = p.empty[1:]
	id := newCopyID()
	return p.add(dir, header{epoch: 1, self: id, all: []copyID{id}})
}

// add makes a copy in an empty directory: its key first, so that a register is never without one.
func (p *opening) add(dir string, h header) error {
	if err := spreadKey(p.fs, dir, p.o.Vault, p.o.Key, p.o.KEK); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if err := createFile(p.fs, dir, p.o.Vault, h); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	f, err := openFile(p.fs, dir, p.o.Vault, p.o.Key)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	p.have = append(p.have, &found{File: f, dir: dir})
	return nil
}

// list finds the newest list of copies.
func (p *opening) list() error {
	for _, f := range p.have {
		if f.head.epoch > p.newest {
			p.newest, p.members = f.head.epoch, nil
		}
		if f.head.epoch == p.newest {
			p.members = append(p.members, f.head.all...)
		}
	}
	slices.SortFunc(p.members, copyID.compare)
	p.members = slices.Compact(p.members)
	for _, f := range p.have {
		f.stale = !slices.Contains(p.members, f.head.self)
	}
	return nil
}

// missing refuses a register of which a copy is not given, or gives it up.
func (p *opening) missing() error {
	there := slices.DeleteFunc(slices.Clone(p.members), func(id copyID) bool {
		return !slices.ContainsFunc(p.have, func(f *found) bool { return f.head.self == id })
	})
	p.lost = len(p.members) - len(there)
	switch {
	case p.lost == 0:
	case len(there) == 0:
		return fmt.Errorf("%s: every copy here was taken off the register; name the directories of the others: %w", strings.Join(p.o.Dirs, ", "), ErrMissing)
	case !p.o.Lost && len(p.empty) > 0:
		return fmt.Errorf("%d of %d copies are missing, and %s holds none; is its volume mounted? %w", p.lost, len(p.members), strings.Join(p.empty, ", "), ErrMissing)
	case !p.o.Lost:
		return fmt.Errorf("%d of %d copies are missing; name the directories of all: %w", p.lost, len(p.members), ErrMissing)
	}
	p.members = there
	if n := len(p.have) + len(p.empty); n > MaxCopies {
		return fmt.Errorf("a root register has at most %d copies, not %d", MaxCopies, n)
	}
	return nil
}

// keys gives every copy the wrapping of the register key that is in force.
func (p *opening) keys() error {
	for _, f := range p.have {
		if err := spreadKey(p.fs, f.dir, p.o.Vault, p.o.Key, p.o.KEK); err != nil {
			return fmt.Errorf("%s: %w", f.dir, err)
		}
	}
	return nil
}

// settle writes the list into every copy that says something else: with the stale ones, without the lost ones.
func (p *opening) settle() error {
	for _, f := range p.have {
		if f.stale {
			p.members = append(p.members, f.head.self)
		}
	}
	want := header{}.with(p.newest, p.members).all
	same := func(f *found) bool {
		return !f.ragged && f.head.epoch == p.newest && slices.Equal(f.head.all, want)
	}
	if !slices.ContainsFunc(p.have, func(f *found) bool { return !same(f) }) {
		return nil
	}
	return p.announce(p.newest+1, want)
}

// announce writes a list into every copy.
func (p *opening) announce(epoch uint64, all []copyID) error {
	for _, f := range p.have {
		if err := f.writeHeader(f.head.with(epoch, all)); err != nil {
			return fmt.Errorf("%s: %w", f.dir, err)
		}
	}
	p.newest, p.members = epoch, all
	return nil
}

// fill makes copies in the empty directories, one by one: each is whole before the others list it.
func (p *opening) fill() error {
	for _, dir := range p.empty {
		id := newCopyID()
		h := header{self: id}.with(p.newest+1, append(slices.Clone(p.members), id))
		if err := p.add(dir, h); err != nil {
			return err
		}
		if err := p.announce(h.epoch, h.all); err != nil {
			return err
		}
	}
	return nil
}
