// Package thief plays an attacker who came by copies of a vault: it takes the rows of every copy, old and present, and the root keys of a register by
// means of the key-encryption key, and tries every key that it comes upon on every row that it holds, until nothing more opens. The tests of an
// erasure and the demonstration use it. It knows the format from the package comments of keyvault and keyvault/tree and uses none of their code, so that it
// is not fooled by what they refuse to do.
//
// It changes nothing: what a database does when it is opened goes to memory. It is for small vaults: its work grows with keys times rows.
package thief

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/oubli-store/oubli/keyvault/register"
	"github.com/oubli-store/oubli/keyvault/shadow"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
)

const (
	keySize = 32
	// entrySize is what a node holds of each child: kind(1) ‖ generation(8) ‖ key.
	entrySize = 1 + 8 + keySize
	tenantRow = 0x10
)

// Thief is what the attacker holds. It is for one goroutine.
type Thief struct {
	vault [16]byte
	rows  map[string][][]byte // row key: values, of every copy
	keys  map[string]bool     // and whether it was tried on all rows
	more  bool                // rows came since
	plain []plain
}

// plain is a row that opened.
type plain struct {
	row   string
	bytes []byte
}

// New makes an attacker of a vault who holds nothing.
func New(vault [16]byte) *Thief {
	return &Thief{vault: vault, rows: map[string][][]byte{}, keys: map[string]bool{}}
}

// VaultOf reads which vault a register belongs to.
func VaultOf(roots, kekFile string) ([16]byte, error) {
	kek, err := register.KEK(nil, register.FileScheme+kekFile)
	if err != nil {
		return [16]byte{}, err
	}
	id, _, _, err := register.LoadKey(vfs.Default, roots, kek)
	return id, err
}

// Take adds the rows of a copy of a vault's directory.
func (t *Thief) Take(dir string) error {
	db, err := pebble.Open(dir, &pebble.Options{FS: shadow.New(), Merger: sum, Logger: silent{}, FormatMajorVersion: pebble.FormatNewest, ErrorIfNotExists: true})
	if err != nil {
		return fmt.Errorf("taking a copy of a vault: %w", err)
	}
	defer db.Close()
	rows, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{tenantRow}, UpperBound: []byte{tenantRow + 1}})
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.First(); rows.Valid(); rows.Next() {
		value, err := rows.ValueAndErr()
		if err != nil {
			return err
		}
		t.Row(rows.Key(), value)
	}
	return rows.Error()
}

// Row adds one row.
func (t *Thief) Row(key, value []byte) {
	for _, old := range t.rows[string(key)] {
		if bytes.Equal(old, value) {
			return
		}
	}
	t.rows[string(key)] = append(t.rows[string(key)], bytes.Clone(value))
	t.more = true
}

// Learn adds a key.
func (t *Thief) Learn(key []byte) {
	if !t.keys[string(key)] {
		t.keys[string(key)] = false
	}
}

// Roots learns every root key that a register holds, by means of a local key-encryption key. It writes to the directory, which is to be a copy.
func (t *Thief) Roots(dir, kekFile string) error {
	kek, err := register.KEK(nil, register.FileScheme+kekFile)
	if err != nil {
		return err
	}
	id, key, _, err := register.LoadKey(vfs.Default, dir, kek)
	if err != nil {
		return err
	}
	if id != t.vault {
		return errors.New("the register belongs to another vault")
	}
	r, _, err := register.Open(vfs.Default, register.Options{Dirs: []string{dir}, Vault: id, Key: key, KEK: kek})
	if err != nil {
		return err
	}
	defer r.Close()
	n, err := r.Tenants(context.Background())
	if err != nil {
		return err
	}
	for tenant := range n {
		copies, err := r.Held(context.Background(), tenant)
		if err != nil {
			return err
		}
		for _, c := range copies {
			for _, s := range c.Slots {
				if s.State == register.Full {
					t.Learn(s.Root.Key.Reveal())
				}
			}
		}
	}
	return nil
}

// Run opens whatever opens, until nothing more does.
func (t *Thief) Run() error {
	if t.more {
		t.plain, t.more = nil, false
		for k := range t.keys {
			t.keys[k] = false
		}
	}
	for {
		var fresh []string
		for k, tried := range t.keys {
			if !tried {
				fresh = append(fresh, k)
			}
		}
		if len(fresh) == 0 {
			return nil
		}
		for _, k := range fresh {
			t.keys[k] = true
			a, err := subtle.NewAESGCM([]byte(k))
			if err != nil {
				return err
			}
			for row, values := range t.rows {
				for _, value := range values {
					t.open(a, row, value)
				}
			}
		}
	}
}

func (t *Thief) open(a *subtle.AESGCM, row string, value []byte) {
	if len(value) < 1+12+16 {
		return
	}
	bound := append(append([]byte("oubli/tree/1\x00"), t.vault[:]...), row...)
	b, err := a.Decrypt(value[1:], bound)
	if err != nil {
		bound = append(append([]byte("oubli/vault/1\x00"), t.vault[:]...), row...)
		if b, err = a.Decrypt(value, bound); err != nil {
			return
		}
	}
	t.plain = append(t.plain, plain{row, b})
	switch row[5] {
	case 'N':
		for i := entrySize - keySize; i+keySize <= len(b); i += entrySize {
			t.Learn(b[i : i+keySize])
		}
	case 'R': // anything in it may be a key
		for i := 0; i+keySize <= len(b); i++ {
			t.Learn(b[i : i+keySize])
		}
	}
}

// Opened counts the rows that opened.
func (t *Thief) Opened() int { return len(t.plain) }

// Again is an attacker with the same keys and none of the rows: to see what those keys open of one copy.
func (t *Thief) Again() *Thief {
	other := New(t.vault)
	for k := range t.keys {
		other.Learn([]byte(k))
	}
	return other
}

// Has says whether b stands in anything that opened.
func (t *Thief) Has(b []byte) bool {
	for _, p := range t.plain {
		if bytes.Contains(p.bytes, b) {
			return true
		}
	}
	return false
}

// Names says whether a handle that the thief guesses can be told from the key of some row.
func (t *Thief) Names(handle string) bool {
	for k := range t.keys {
		h := hmac.New(sha256.New, []byte(k))
		io.WriteString(h, "oubli/handle/1\x00"+handle)
		name := string(h.Sum(nil)[:16])
		for row := range t.rows {
			if strings.HasSuffix(row, name) {
				return true
			}
		}
	}
	return false
}

// Persons counts the persons a record of whom opened.
func (t *Thief) Persons() int {
	all := map[string]bool{}
	for _, p := range t.plain {
		if p.row[5] == 'B' && p.row[6] == 'l' {
			all[p.row[len(p.row)-16:]] = true
		}
	}
	return len(all)
}

// Holds says whether a record of the person opened.
func (t *Thief) Holds(person [16]byte) bool { return len(t.records(person)) > 0 }

// DataKeys lists all that could be a data key of a month in the records of a person that opened.
func (t *Thief) DataKeys(person [16]byte, month uint16) (keys [][]byte) {
	want := []byte{byte(month >> 8), byte(month)}
	for _, b := range t.records(person) {
		for i := 0; i+2+keySize <= len(b); i++ {
			if bytes.HasPrefix(b[i:], want) {
				keys = append(keys, b[i+2:][:keySize])
			}
		}
	}
	return keys
}

// records are the opened records of a person, whatever copy they came from.
func (t *Thief) records(person [16]byte) (out [][]byte) {
	for _, p := range t.plain {
		if p.row[5] == 'B' && p.row[6] == 'l' && strings.HasSuffix(p.row, string(person[:])) {
			out = append(out, p.bytes)
		}
	}
	return out
}

// sum stands for the merger of the counters, which are of no use here.
var sum = &pebble.Merger{Name: "oubli.sum.1", Merge: pebble.DefaultMerger.Merge}

type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf("reading a copy of a vault: "+format, args...))
}
