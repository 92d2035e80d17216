package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/oubli-store/oubli/eventstore"
)

const version = 1

// document is what stands at the place.
type document struct {
	Version int    `json:"version"`
	Vault   string `json:"vault"`
	// Updates counts the changes of the document.
	Updates uint64 `json:"updates"`
	Tenants []kept `json:"tenants"`
	Sum     string `json:"sum"`
}

// kept is one tenant in the document.
type kept struct {
	Tenant eventstore.TenantID `json:"tenant"`
	Erased bool                `json:"erased,omitempty"`
	Key    string              `json:"key,omitempty"`
	Note   string              `json:"checkpoint,omitempty"`
}

func (d *document) find(tenant eventstore.TenantID) (int, bool) {
	return slices.BinarySearchFunc(d.Tenants, tenant, func(k kept, t eventstore.TenantID) int { return strings.Compare(string(k.Tenant), string(t)) })
}

// set puts a tenant in.
func (d *document) set(k kept) {
	i, found := d.find(k.Tenant)
	if found {
		d.Tenants[i] = k
		return
	}
	d.Tenants = slices.Insert(d.Tenants, i, k)
}

func (d *document) clone() *document {
	c := *d
	c.Tenants = slices.Clone(d.Tenants)
	return &c
}

func (d document) encode() ([]byte, error) {
	d.Version, d.Sum = version, ""
	plain, err := json.MarshalIndent(d, "", "\t")
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(plain)
	d.Sum = hex.EncodeToString(sum[:])
	out, err := json.MarshalIndent(d, "", "\t")
	return append(out, '\n'), err
}

func decodeDocument(data []byte) (*document, error) {
	d := &document{}
	if err := json.Unmarshal(data, d); err != nil {
		return nil, fmt.Errorf("%w: the checkpoint outside cannot be read", eventstore.ErrDamaged)
	}
	if d.Version > version {
		return nil, fmt.Errorf("%w: the checkpoint outside has version %d", eventstore.ErrNewerVersion, d.Version)
	}
	if d.Tenants == nil {
		d.Tenants = []kept{}
	}
	again, err := d.encode()
	if err != nil || !bytes.Equal(again, data) {
		return nil, fmt.Errorf("%w: the checkpoint outside is not what was written", eventstore.ErrDamaged)
	}
	return d, nil
}

// perObject is how many entries stand in one object.
const perObject = 256

// objectOf is the number of the first entry in the object of entry n, both from 1.
func objectOf(n uint64) uint64 { return (n-1)/perObject*perObject + 1 }

func objectName(tenant eventstore.TenantID, first uint64) string {
	return fmt.Sprintf("%s/%020d", tenant, first)
}

func encodeEntries(records [][]byte) []byte {
	var out []byte
	for _, r := range records {
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(r))), r...)
	}
	sum := sha256.Sum256(out)
	return append(out, sum[:]...)
}

func decodeEntries(data []byte) (records [][]byte, ok bool) {
	if len(data) < sha256.Size {
		return nil, false
	}
	body, sum := data[:len(data)-sha256.Size], sha256.Sum256(data[:len(data)-sha256.Size])
	if !bytes.Equal(sum[:], data[len(body):]) {
		return nil, false
	}
	for len(body) > 0 {
		if len(body) < 4 || uint64(len(body)-4) < uint64(binary.BigEndian.Uint32(body)) {
			return nil, false
		}
		end := 4 + int(binary.BigEndian.Uint32(body))
		records, body = append(records, body[4:end]), body[end:]
	}
	return records, len(records) <= perObject
}
