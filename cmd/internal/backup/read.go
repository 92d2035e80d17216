package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"

	"filippo.io/age"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/secret"
)

// Reader reads one file, section after section. It is not safe for concurrent use.
type Reader struct {
	Header Header

	in      *bufio.Reader
	sum     hash.Hash
	due     []Section
	open    *Section
	pending []Item
	count   uint64
	last    uint64
	lastKey []byte
	done    uint64
	total   uint64
	whole   bool
}

// NewReader opens a file with one of the identities and reads its header. ErrIdentity, ErrDamaged, ErrNewerVersion. Whether it has expired is for the
// caller to look at.
func NewReader(src io.Reader, ids Identities) (*Reader, error) {
	in, err := age.Decrypt(src, ids.age()...)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		return nil, ErrIdentity
	case err != nil:
		return nil, fmt.Errorf("%w: it is no age file, or its head was changed: %w", ErrDamaged, err)
	}
	return newReader(in)
}

func newReader(in io.Reader) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(in, 256<<10), sum: sha256.New()}
	kind, body, err := r.frame()
	if err != nil {
		return nil, err
	}
	var head struct {
		Magic   string `cbor:"0,keyasint"`
		Version uint64 `cbor:"1,keyasint"`
	}
	if kind != kindHeader || peeking.Unmarshal(body, &head) != nil || head.Magic != magic {
		return nil, fmt.Errorf("%w: what is in the age file is no backup of oubli", ErrDamaged)
	}
	if head.Version > Version {
		return nil, fmt.Errorf("%w: the backup has version %d, this one knows up to %d", eventstore.ErrNewerVersion, head.Version, Version)
	}
	var w wireHeader
	if decoding.Unmarshal(body, &w) != nil || w.Version < versionNoFiles || len(w.Vault) != len(r.Header.Vault) {
		return nil, fmt.Errorf("%w: its header cannot be read", ErrDamaged)
	}
	r.Header = Header{Vault: eventstore.VaultID(w.Vault), Moment: unix(w.Moment), Expires: unix(w.Expires), Program: w.Program}
	seen := map[eventstore.TenantID]bool{}
	numbers := map[uint32]bool{}
	for _, t := range w.Tenants {
		if _, err := eventstore.ParseTenantID(string(t.Name)); err != nil || seen[t.Name] || numbers[t.Number] {
			return nil, fmt.Errorf("%w: its header cannot be read", ErrDamaged)
		}
		seen[t.Name], numbers[t.Number] = true, true
		r.Header.Tenants = append(r.Header.Tenants, Tenant(t))
	}
	r.due = r.Header.sections(w.Version)
	return r, nil
}

// frame reads one frame. io.EOF stands for a file that ends here.
func (r *Reader) frame() (kind uint8, body []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return 0, nil, cut(err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxFrame {
		return 0, nil, fmt.Errorf("%w: a record says that it has %d bytes", ErrDamaged, n)
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r.in, int64(n)); err != nil {
		return 0, nil, cut(err)
	}
	var rec record
	if err := decoding.Unmarshal(b.Bytes(), &rec); err != nil {
		return 0, nil, fmt.Errorf("%w: a record cannot be read", ErrDamaged)
	}
	if rec.Kind != kindTrailer {
		r.sum.Write(head[:])
		r.sum.Write(b.Bytes())
	}
	return rec.Kind, rec.Body, nil
}

// cut names a file that ends too early; another error is age's, which does not open what was changed, or the disk's.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it is cut off", ErrDamaged)
	}
	return fmt.Errorf("%w: it does not open to its end: %w", ErrDamaged, err)
}

// Next begins the next section, io.EOF when there is none: then the file is whole. What was not read of the section before is passed over,
// checked all the same.
func (r *Reader) Next() (Section, error) {
	for _, err := range r.Items() {
		if err != nil {
			return Section{}, err
		}
	}
	if r.whole {
		return Section{}, io.EOF
	}
	kind, body, err := r.frame()
	if err != nil {
		return Section{}, err
	}
	if len(r.due) == 0 {
		return Section{}, r.end(kind, body)
	}
	want := r.due[0]
	var w wireSection
	if kind != kindSection || decoding.Unmarshal(body, &w) != nil {
		return Section{}, fmt.Errorf("%w: the section %s does not begin where it must", ErrDamaged, want)
	}
	s := Section{Kind: w.Kind, Tenant: w.Tenant, Last: w.Last}
	if s.Kind != want.Kind || s.Tenant != want.Tenant || s.Last != want.Last {
		return Section{}, fmt.Errorf("%w: a section stands where %s must", ErrDamaged, want)
	}
	if s.Roots, err = r.roots(s, w.Roots); err != nil {
		return Section{}, err
	}
	clear(body)
	r.due, r.open = r.due[1:], &s
	r.count, r.last, r.lastKey = 0, 0, nil
	return s, nil
}

// roots takes the root keys: one for each tenant that is not erased, in the vault's section only.
func (r *Reader) roots(s Section, wire []wireRoot) (map[uint32]secret.Bytes, error) {
	if s.Kind != Vault {
		if len(wire) > 0 {
			return nil, fmt.Errorf("%w: root keys stand in the section %s", ErrDamaged, s)
		}
		return nil, nil
	}
	out := map[uint32]secret.Bytes{}
	for _, root := range wire {
		if len(root.Key) != rootSize {
			return nil, fmt.Errorf("%w: a root key has %d bytes", ErrDamaged, len(root.Key))
		}
		out[root.Number] = secret.New(root.Key)
	}
	for _, t := range r.Header.Tenants {
		if _, there := out[t.Number]; there == t.Erased {
			return nil, fmt.Errorf("%w: the root keys are not those of its tenants", ErrDamaged)
		}
	}
	return out, nil
}

const rootSize = 32

// end reads the trailer.
func (r *Reader) end(kind uint8, body []byte) error {
	var w wireTrailer
	if kind != kindTrailer || decoding.Unmarshal(body, &w) != nil {
		return fmt.Errorf("%w: something stands where its end must", ErrDamaged)
	}
	if w.Items != r.total || w.Sections != r.done || !bytes.Equal(w.Sum, r.sum.Sum(nil)) {
		return fmt.Errorf("%w: it does not hold what its end says", ErrDamaged)
	}
	if _, err := r.in.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something stands behind its end", ErrDamaged)
	}
	r.whole = true
	return io.EOF
}

// Items yields what is left of the section that [Reader.Next] began. The first error ends it. Key and value are the caller's.
func (r *Reader) Items() iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for r.open != nil {
			if len(r.pending) == 0 {
				if err := r.more(); err != nil {
					yield(Item{}, err)
					return
				}
				continue
			}
			i := r.pending[0]
			r.pending = r.pending[1:]
			if err := follows(r.open.Kind, i, r.last, r.lastKey, r.count == 0); err != nil {
				yield(Item{}, fmt.Errorf("section %s: %w", r.open, err))
				return
			}
			r.last, r.lastKey = i.Number, append(r.lastKey[:0], i.Key...)
			r.count++
			if !yield(i, nil) {
				return
			}
		}
	}
}

// more reads the next items, or the section's end.
func (r *Reader) more() error {
	kind, body, err := r.frame()
	if err != nil {
		return err
	}
	var end wireEnd
	switch {
	case kind == kindItems && decoding.Unmarshal(body, &r.pending) == nil && len(r.pending) > 0:
		return nil
	case kind == kindEnd && decoding.Unmarshal(body, &end) == nil && end.Items == r.count:
		r.open = nil
		r.done++
		r.total += r.count
		return nil
	}
	return fmt.Errorf("%w: the section %s is not whole", ErrDamaged, r.open)
}
