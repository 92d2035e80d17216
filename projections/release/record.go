package release

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/oubli-store/oubli/eventstore"
)

// schema is the version of the record.
const schema = 1

// Release is the statistics of one projection in one period, published once. It never changes.
type Release struct {
	// Projection is the name of the table, Version that of what it counts.
	Projection string
	Version    int
	// Period is a civil day, ISO week or month of Zone, a name of the IANA database.
	Period eventstore.Period
	Zone   string
	// Sequence is the last of the tenant's stream that was counted.
	Sequence uint64
	// Closed is when the period was closed, in whole milliseconds.
	Closed time.Time
	// Rules are what it was made by; Threshold is what the persons of each row reach (with noise: their noised number).
	Rules     Rules
	Threshold uint64
	// Dimensions and Measures name the columns. A week or month has no measures: they are the sums of its days.
	Dimensions, Measures []string
	Figures
	// Withheld says why there are no rows, or not all of them, though there could be: one of the constants below; empty if that is not so.
	Withheld Withheld
}

// Withheld is a reason for which rows are not there.
type Withheld string

// The reasons.
const (
	// WithheldBudget: the privacy budget did not suffice.
	WithheldBudget Withheld = "budget"
	// WithheldSize: there were more rows than a record can hold; those with the most persons are there.
	WithheldSize Withheld = "size"
)

// Expired says that releases were deleted because of their age. It is a record of the same stream.
type Expired struct {
	// Before is a civil day: every period that ended before it is closed, and its releases are gone.
	Before time.Time
}

// Record is one record of the stream: a release, or that releases expired.
type Record struct {
	Release *Release
	Expired *Expired
}

type wireRow struct {
	_       struct{} `cbor:",toarray"`
	Values  []string
	Persons uint64
	Sums    []uint64
}

// wire is a record as it is stored.
type wire struct {
	Schema     uint64            `cbor:"0,keyasint"`
	Projection string            `cbor:"1,keyasint,omitempty"`
	Version    int               `cbor:"2,keyasint,omitempty"`
	Period     eventstore.Period `cbor:"3,keyasint,omitzero"`
	Zone       string            `cbor:"4,keyasint,omitempty"`
	Sequence   uint64            `cbor:"5,keyasint,omitempty"`
	Closed     int64             `cbor:"6,keyasint,omitempty"`
	K          int               `cbor:"7,keyasint,omitempty"`
	Bound      uint64            `cbor:"8,keyasint,omitempty"`
	Epsilon    Epsilon           `cbor:"9,keyasint,omitempty"`
	Threshold  uint64            `cbor:"10,keyasint,omitempty"`
	Dimensions []string          `cbor:"11,keyasint,omitempty"`
	Measures   []string          `cbor:"12,keyasint,omitempty"`
	Rows       []wireRow         `cbor:"13,keyasint,omitempty"`
	Folded     bool              `cbor:"14,keyasint,omitempty"`
	Hidden     bool              `cbor:"15,keyasint,omitempty"`
	Withheld   Withheld          `cbor:"16,keyasint,omitempty"`
	// Before, in days since 1970-01-01, makes the record an [Expired].
	Before int64 `cbor:"17,keyasint,omitempty"`
}

var (
	encoding = must(cbor.CoreDetEncOptions().EncMode())
	decoding = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, MaxNestedLevels: 8, MaxArrayElements: 1 << 20, MaxMapPairs: 32,
	}.DecMode())
	// peeking reads the schema version alone, whatever else is there.
	peeking = must(cbor.DecOptions{IndefLength: cbor.IndefLengthForbidden, MaxArrayElements: 1 << 20}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Encode is the record of a release.
func (r Release) Encode() ([]byte, error) {
	if r.Projection == "" || r.Closed.IsZero() {
		return nil, errors.New("release: it has no projection, or was not closed")
	}
	w := wire{
		Schema: schema, Projection: r.Projection, Version: r.Version, Period: r.Period, Zone: r.Zone, Sequence: r.Sequence,
		Closed: r.Closed.UnixMilli(), K: r.Rules.K, Bound: r.Rules.Bound, Epsilon: r.Rules.Epsilon, Threshold: r.Threshold,
		Dimensions: r.Dimensions, Measures: r.Measures, Folded: r.Folded, Hidden: r.Hidden, Withheld: r.Withheld,
	}
	for _, row := range r.Rows {
		if len(row.Values) != len(r.Dimensions) || len(row.Sums) != len(r.Measures) {
			return nil, errors.New("release: a row is not as wide as its table")
		}
		w.Rows = append(w.Rows, wireRow{Values: row.Values, Persons: row.Persons, Sums: row.Sums})
	}
	return encoding.Marshal(w)
}

// EncodeWithin is the record of a release in at most so many bytes: if it is larger, the rows with the fewest persons are left out and the release says so.
func (r Release) EncodeWithin(size int) ([]byte, error) {
	whole, err := r.Encode()
	if err != nil || len(whole) <= size {
		return whole, err
	}
	byPersons := slices.Clone(r.Rows)
	slices.SortStableFunc(byPersons, func(a, b Figure) int {
		if a.Persons != b.Persons {
			return int(min(max(int64(b.Persons)-int64(a.Persons), -1), 1))
		}
		return slices.Compare(a.Values, b.Values)
	})
	r.Hidden, r.Withheld = true, WithheldSize
	var out []byte
	fewer := sort.Search(len(byPersons), func(fewer int) bool {
		r.Rows = slices.Clone(byPersons[:len(byPersons)-fewer])
		slices.SortFunc(r.Rows, func(a, b Figure) int { return slices.Compare(a.Values, b.Values) })
		b, encodeErr := r.Encode()
		if encodeErr != nil {
			err = encodeErr
			return true
		}
		if len(b) <= size {
			out = b
		}
		return len(b) <= size
	})
	if err == nil && (out == nil || fewer == len(byPersons)) {
		r.Rows = nil
		out, err = r.Encode()
	}
	return out, err
}

// Encode is the record of an expiry.
func (e Expired) Encode() ([]byte, error) {
	return encoding.Marshal(wire{Schema: schema, Before: e.Before.Unix() / 86400})
}

// Decode is what a record says. ErrDamaged, ErrNewerVersion.
func Decode(record []byte) (Record, error) {
	var head struct {
		Schema uint64 `cbor:"0,keyasint"`
	}
	if err := peeking.Unmarshal(record, &head); err != nil {
		return Record{}, fmt.Errorf("%w: a release cannot be read", eventstore.ErrDamaged)
	}
	if head.Schema > schema {
		return Record{}, fmt.Errorf("%w: a release has schema %d", eventstore.ErrNewerVersion, head.Schema)
	}
	var w wire
	if err := decoding.Unmarshal(record, &w); err != nil || w.Schema != schema {
		return Record{}, fmt.Errorf("%w: a release cannot be read", eventstore.ErrDamaged)
	}
	var out Record
	var again []byte
	var err error
	if w.Before != 0 {
		out.Expired = &Expired{Before: time.Unix(w.Before*86400, 0).UTC()}
		again, err = out.Expired.Encode()
	} else {
		out.Release = w.release()
		again, err = out.Release.Encode()
	}
	if err != nil || !bytes.Equal(again, record) {
		return Record{}, fmt.Errorf("%w: a release is not in its one form", eventstore.ErrDamaged)
	}
	return out, nil
}

func (w wire) release() *Release {
	r := &Release{
		Projection: w.Projection, Version: w.Version, Period: w.Period, Zone: w.Zone, Sequence: w.Sequence, Closed: time.UnixMilli(w.Closed).UTC(),
		Rules: Rules{K: w.K, Bound: w.Bound, Epsilon: w.Epsilon}, Threshold: w.Threshold, Dimensions: w.Dimensions, Measures: w.Measures,
		Figures: Figures{Folded: w.Folded, Hidden: w.Hidden}, Withheld: w.Withheld,
	}
	for _, row := range w.Rows {
		r.Rows = append(r.Rows, Figure{Values: row.Values, Persons: row.Persons, Sums: row.Sums})
	}
	return r
}

// Hash is what the ledger keeps of a record.
func Hash(record []byte) [32]byte {
	h := sha256.New()
	h.Write([]byte("oubli/release/1\x00"))
	h.Write(record)
	return [32]byte(h.Sum(nil))
}
