package keyvault

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/secret"
)

const (
	recordVersion = 1
	keySize       = 32
	// maxAmbiguous bounds the list of handles left for support to decide.
	maxAmbiguous = 32
)

const (
	flagRestricted = 1 << iota
	flagObjected
	flagHold
	// flagExpired: retention took a data key.
	flagExpired
	// flagsOfState are those that [eventstore.State] knows.
	flagsOfState = flagRestricted | flagObjected | flagHold
)

// record is what the vault knows of one person.
type record struct {
	flags      byte
	created    int64
	first      uint64
	own, set   secret.Bytes
	reference  eventstore.LedgerReference
	months     []monthKey
	identities []eventstore.Identity
	ambiguous  []eventstore.Identity
	// others are the other persons of the linked set, ascending.
	others   []eventstore.PersonID
	consents map[string]bool
	rest     []byte
}

// monthKey is one key month's data key. Months ascend.
type monthKey struct {
	month eventstore.KeyMonth
	key   secret.Bytes
}

func (v *Vault) newRecord(now time.Time) (*record, error) {
	r, _, err := v.drawRecord(now)
	return r, err
}

// drawRecord draws a record's secrets and a data key at once.
func (v *Vault) drawRecord(now time.Time) (*record, secret.Bytes, error) {
	r := &record{created: now.UnixMilli()}
	random := make([]byte, 3*keySize+len(r.reference))
	if _, err := io.ReadFull(v.entropy, random); err != nil {
		return nil, secret.Bytes{}, fmt.Errorf("drawing a person's secrets: %w", err)
	}
	part := func(i int) secret.Bytes { return secret.New(random[i*keySize:][:keySize:keySize]) }
	r.own, r.set = part(0), part(1)
	copy(r.reference[:], random[3*keySize:])
	return r, part(2), nil
}

// firstRecord makes the record of who arrives, with the data key of the month that the event falls into unless that month has expired: the key is
// written with the person, and not once more with the event.
func (t *tenant) firstRecord(a eventstore.Arrival) (*record, error) {
	r, key, err := t.v.drawRecord(a.Received)
	if err != nil {
		return nil, err
	}
	if m := eventstore.KeyMonthOf(eventTime(a), a.Received); m >= t.own.expired {
		r.months = []monthKey{{m, key}}
	}
	return r, nil
}

func (r *record) state() eventstore.State {
	return eventstore.State{
		Known:      true,
		Restricted: r.flags&flagRestricted != 0,
		Objected:   r.flags&flagObjected != 0,
		Hold:       r.flags&flagHold != 0,
		Consents:   maps.Clone(r.consents),
		First:      r.first,
	}
}

func (r *record) setState(s eventstore.State) {
	r.flags &^= flagsOfState
	if s.Restricted {
		r.flags |= flagRestricted
	}
	if s.Objected {
		r.flags |= flagObjected
	}
	if s.Hold {
		r.flags |= flagHold
	}
	r.consents = maps.Clone(s.Consents)
	r.first = s.First
}

func (r *record) key(m eventstore.KeyMonth) (secret.Bytes, bool) {
	i, found := slices.BinarySearchFunc(r.months, m, func(k monthKey, m eventstore.KeyMonth) int { return int(k.month) - int(m) })
	if !found {
		return secret.Bytes{}, false
	}
	return r.months[i].key, true
}

func (r *record) addMonth(m eventstore.KeyMonth, key secret.Bytes) {
	r.months = append(r.months, monthKey{m, key})
	slices.SortFunc(r.months, func(a, b monthKey) int { return int(a.month) - int(b.month) })
}

func (r *record) keyMonths() []eventstore.KeyMonth {
	var out []eventstore.KeyMonth
	for _, k := range r.months {
		out = append(out, k.month)
	}
	return out
}

func (r *record) wipe() {
	r.own.Wipe()
	r.set.Wipe()
	for _, k := range r.months {
		k.key.Wipe()
	}
}

// person is what others may know of a record, in a tenant whose months below floor have expired.
func (r *record) person(id eventstore.PersonID, floor eventstore.KeyMonth) eventstore.PersonRecord {
	return eventstore.PersonRecord{
		Person: id, Reference: r.reference, Identities: slices.Clone(r.identities), Ambiguous: slices.Clone(r.ambiguous),
		State: r.state(), Months: r.keyMonths(), Created: time.UnixMilli(r.created).UTC(), Expired: r.expired(floor),
	}
}

// expired is the month before which retention took something, 0 if it took nothing.
func (r *record) expired(floor eventstore.KeyMonth) eventstore.KeyMonth {
	switch {
	case r.flags&flagExpired == 0:
		return 0
	case r.reaches(floor): // on hold, or the run under way has not come by
		return r.months[0].month
	}
	return floor
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendIdentities(b []byte, ids []eventstore.Identity) []byte {
	b = binary.AppendUvarint(b, uint64(len(ids)))
	for _, id := range ids {
		b = appendString(appendString(b, id.Namespace), id.ID)
	}
	return b
}

func (r *record) encode() []byte {
	b := append(make([]byte, 0, 320), recordVersion, r.flags)
	b = binary.BigEndian.AppendUint64(b, uint64(r.created))
	b = binary.AppendUvarint(b, r.first)
	b = append(b, r.own.Reveal()...)
	b = append(b, r.set.Reveal()...)
	b = append(b, r.reference[:]...)
	b = binary.AppendUvarint(b, uint64(len(r.months)))
	for _, k := range r.months {
		b = binary.BigEndian.AppendUint16(b, uint16(k.month))
		b = append(b, k.key.Reveal()...)
	}
	b = appendIdentities(appendIdentities(b, r.identities), r.ambiguous)
	b = binary.AppendUvarint(b, uint64(len(r.others)))
	for _, id := range r.others {
		b = append(b, id[:]...)
	}
	b = binary.AppendUvarint(b, uint64(len(r.consents)))
	for _, purpose := range slices.Sorted(maps.Keys(r.consents)) {
		b = appendString(b, purpose)
		if r.consents[purpose] {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	return append(b, r.rest...)
}

// reader reads fields; after the first that is cut it reads nothing.
type reader struct {
	b   []byte
	cut bool
}

func (r *reader) take(n uint64) []byte {
	if r.cut || n > uint64(len(r.b)) {
		r.cut = true
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) fixed(n int) []byte {
	if b := r.take(uint64(n)); b != nil {
		return b
	}
	return make([]byte, n)
}

func (r *reader) uvarint() uint64 {
	n, k := binary.Uvarint(r.b)
	if r.cut || k <= 0 {
		r.cut = true
		return 0
	}
	r.b = r.b[k:]
	return n
}

// count reads the length of a list whose members have at least size bytes.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.cut = true
		return 0
	}
	return int(n)
}

func (r *reader) str() string { return string(r.take(r.uvarint())) }

func (r *reader) secret() secret.Bytes { return secret.New(slices.Clone(r.fixed(keySize))) }

func (r *reader) identities() (out []eventstore.Identity) {
	for range r.count(2) {
		out = append(out, eventstore.Identity{Namespace: r.str(), ID: r.str()})
	}
	return out
}

func decodeRecord(b []byte) (*record, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("vault: a record is empty: %w", eventstore.ErrDamaged)
	}
	if b[0] > recordVersion {
		return nil, fmt.Errorf("vault: a record: %w", eventstore.ErrNewerVersion)
	}
	in := &reader{b: b[1:]}
	r := &record{flags: in.fixed(1)[0], created: int64(binary.BigEndian.Uint64(in.fixed(8))), first: in.uvarint()}
	r.own, r.set = in.secret(), in.secret()
	copy(r.reference[:], in.fixed(16))
	for range in.count(2 + keySize) {
		m := eventstore.KeyMonth(binary.BigEndian.Uint16(in.fixed(2)))
		r.months = append(r.months, monthKey{m, in.secret()})
	}
	r.identities, r.ambiguous = in.identities(), in.identities()
	for range in.count(16) {
		r.others = append(r.others, eventstore.PersonID(in.fixed(16)))
	}
	for range in.count(2) {
		if r.consents == nil {
			r.consents = map[string]bool{}
		}
		purpose := in.str()
		r.consents[purpose] = in.fixed(1)[0] == 1
	}
	if in.cut {
		return nil, fmt.Errorf("vault: a record is cut: %w", eventstore.ErrDamaged)
	}
	r.rest = slices.Clone(in.b)
	clear(b)
	return r, nil
}
