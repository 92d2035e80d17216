package projections

import (
	"encoding/binary"
	"fmt"

	"github.com/oubli-store/oubli/eventstore"
)

// The tables of a tenant; see the package comment.
const (
	tableHeader   = 'H'
	tableKey      = 'K'
	tablePosition = 'S'
	tableLeftOut  = 'L'
	tableTag      = 'T'
	tableGroup    = 'G'
	tableTalk     = 'R'
	tablePerson   = 'P'
	tableCell     = 'C'
	tableExpired  = 'X'
	tableHistory  = 'V'
	tableRelease  = 'Z'
	tableRecords  = 'N'
	tableDraft    = 'D'
	tableReceived = 'E'
	tableLate     = 'Y'
)

// openTables are those whose rows begin with the period that they belong to, and go with it.
var openTables = []byte{tableTag, tableGroup, tableTalk, tableHistory, tableReceived}

// formatKey is the one key that belongs to no tenant.
var formatKey = []byte("\x00format")

const (
	markSize   = eventstore.MarkSize
	periodSize = 5
)

// cellID is a keyed hash of the values of a cell's dimensions.
type cellID [16]byte

// cellKey names a cell.
type cellKey struct {
	model  byte
	period eventstore.Period
	id     cellID
}

// prefix is what every key of a tenant begins with, in one of its two slots: one is in use, in the other its rows are made anew.
func prefix(tenant eventstore.TenantID, slot byte) []byte { return append([]byte(tenant), slot) }

// slotKey names the row that says which slot is in use; without it, it is 0.
func slotKey(tenant eventstore.TenantID) []byte { return append([]byte("\x00slot\x00"), tenant...) }

// key builds a key of a table.
func (t *tenant) key(table byte, parts ...[]byte) []byte {
	n := len(t.prefix) + 1
	for _, p := range parts {
		n += len(p)
	}
	b := make([]byte, 0, n)
	b = append(append(b, t.prefix...), table)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func periodBytes(p eventstore.Period) []byte {
	return binary.BigEndian.AppendUint32([]byte{byte(p.Kind)}, uint32(p.First)^1<<31)
}

func parsePeriod(b []byte) eventstore.Period {
	return eventstore.Period{Kind: eventstore.PeriodKind(b[0]), First: int32(binary.BigEndian.Uint32(b[1:]) ^ 1<<31)}
}

func (t *tenant) cellKey(c cellKey) []byte {
	return t.key(tableCell, []byte{c.model}, periodBytes(c.period), c.id[:])
}

func (t *tenant) personKey(c cellKey, mark []byte) []byte {
	return t.key(tablePerson, []byte{c.model}, periodBytes(c.period), c.id[:], mark)
}

func (t *tenant) talkKey(at tagKey, model byte, cell cellID, conversation eventstore.Mark) []byte {
	return t.key(tableTalk, periodBytes(at.period), at.tag[:], []byte{model}, cell[:], conversation[:])
}

// successor is the first key behind all those that begin with the prefix.
func successor(prefix []byte) []byte {
	out := append([]byte(nil), prefix...)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i]++; out[i] != 0 {
			return out[:i+1]
		}
	}
	return nil
}

// appendNumbers writes a row of measures.
func appendNumbers(b []byte, numbers []uint64) []byte {
	for _, n := range numbers {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// parseNumbers reads count numbers and returns what follows them.
func parseNumbers(b []byte, count int) (numbers []uint64, rest []byte, err error) {
	numbers = make([]uint64, count)
	for i := range numbers {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return nil, nil, damaged("a row of figures is shorter than its model")
		}
		numbers[i], b = n, b[size:]
	}
	return numbers, b, nil
}

// damaged names a damage.
func damaged(what string) error {
	return fmt.Errorf("projections: %s: %w", what, eventstore.ErrDamaged)
}
