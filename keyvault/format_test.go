package keyvault_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault"
)

// reading reads the vault in testdata/v1 by the documents alone (the comments of keyvault, keyvault/tree and keyvault/register), with nothing of their code.
type reading struct {
	*testing.T
	dir   string
	vault []byte
	rows  map[string][]byte
}

// gcm opens nonce(12) ‖ ciphertext ‖ tag(16).
func (r *reading) gcm(key, sealed []byte, associated ...[]byte) []byte {
	r.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		r.Fatal(err)
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		r.Fatal(err)
	}
	plain, err := a.Open(nil, sealed[:12], sealed[12:], bytes.Join(associated, nil))
	if err != nil {
		r.Fatalf("it does not open: %v", err)
	}
	return plain
}

func prf(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(bytes.Join(parts, nil))
	return h.Sum(nil)
}

func be(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// sumless lets the database open: its one merge row is not read here.
type sumless struct{ b []byte }

func (s *sumless) MergeNewer(b []byte) error              { s.b = append([]byte{}, b...); return nil }
func (s *sumless) MergeOlder([]byte) error                { return nil }
func (s *sumless) Finish(bool) ([]byte, io.Closer, error) { return s.b, nil, nil }

func (r *reading) file(name string) []byte {
	r.Helper()
	b, err := os.ReadFile(r.dir + name)
	if err != nil {
		r.Fatal(err)
	}
	return b
}

func (r *reading) database() {
	dir := r.TempDir()
	if err := os.CopyFS(dir, os.DirFS(r.dir+"/vault")); err != nil {
		r.Fatal(err)
	}
	db, err := pebble.Open(dir, &pebble.Options{ReadOnly: true, Merger: &pebble.Merger{Name: "oubli.sum.1",
		Merge: func(_, b []byte) (pebble.ValueMerger, error) { return &sumless{b}, nil }}})
	if err != nil {
		r.Fatal(err)
	}
	defer db.Close()
	it, err := db.NewIter(nil)
	if err != nil {
		r.Fatal(err)
	}
	defer it.Close()
	r.rows = map[string][]byte{}
	for ok := it.First(); ok; ok = it.Next() {
		r.rows[string(it.Key())] = bytes.Clone(it.Value())
	}
}

// root unwraps the register key and opens the first tenant's root key, with its generation.
func (r *reading) root() (key, generation []byte) {
	wrapped := r.file("/roots/register.key")
	r.vault = wrapped[10:26]
	n := int(binary.BigEndian.Uint16(wrapped[26:]))
	registerKey := r.gcm(r.file("/kek"), wrapped[28:28+n], []byte("oubli/register-key/1\x00"), r.vault)
	file := r.file("/roots/register")
	for i, block := range [][]byte{file[2*4096 : 3*4096], file[3*4096 : 4*4096]} {
		if sum := sha256.Sum256(block[:4096-32]); !bytes.Equal(sum[:], block[4096-32:]) || string(block[:4]) != "oubr" || block[4] != 1 {
			r.Fatalf("slot %d: its checksum or its head", i)
		}
		if block[5] == 1 {
			generation = block[11:19]
			key = r.gcm(registerKey, block[19:79], []byte("oubli/register/1\x00"), r.vault, block[6:10], []byte{byte(i)}, generation)
		}
	}
	if key == nil {
		r.Fatal("no slot is full")
	}
	return key, generation
}

// treeRow opens a row of the tree.
func (r *reading) treeRow(key, row []byte) []byte {
	r.Helper()
	value := r.rows[string(row)]
	if len(value) == 0 || value[0] != 1 {
		r.Fatalf("row %q is not there, or of another version", row[:6])
	}
	return r.gcm(key, value[1:], []byte("oubli/tree/1\x00"), r.vault, row)
}

// TestFormat reads a person, a handle, an event, the marks, a meta row, the control key, an owed event and a refusal from the vector vault, by the document.
func TestFormat(t *testing.T) {
	r := &reading{T: t, dir: goldenDir}
	var want golden
	if err := json.Unmarshal(r.file("/answers.json"), &want); err != nil {
		t.Fatal(err)
	}
	unhex := func(s string) []byte { b, err := hex.DecodeString(s); r.must(err); return b }
	r.database()
	rootKey, generation := r.root()
	if hex.EncodeToString(r.vault) != want.Vault || !bytes.Equal(r.rows["\x01"], append([]byte{1}, r.vault...)) {
		t.Error("the vault's id")
	}
	tenant := []byte("\x10\x00\x00\x00\x00")
	if got := r.rows["\x02"+string(crashTenant)]; !bytes.Equal(got, append([]byte{1, 2}, tenant[1:]...)) {
		t.Errorf("the tenant's name row: %x", got)
	}
	root := r.treeRow(rootKey, bytes.Join([][]byte{tenant, {'R'}, generation}, nil))
	if root[0] != 3 || !bytes.Equal(root[1:9], generation) || root[9] != 1 || root[50] != 1 {
		t.Fatalf("the root node: fan bits, generation, or a child that is no bucket: %x %d %d", root[:9], root[9], root[50])
	}
	leaf, page, own := root[9:50], root[50:91], root[91+32:]
	bucket := func(trie byte, child, name []byte) []byte {
		return bytes.Join([][]byte{tenant, {'B', trie, 0}, make([]byte, 8), child[1:9], name}, nil)
	}
	handle := []byte("email:alice@example.com")
	found := r.treeRow(page[9:], bucket('p', page, prf(page[9:], []byte("oubli/handle/1\x00"), handle)[:16]))
	alice := eventstore.PersonID(found[:16])
	if alice.String() != want.Alice || !bytes.Equal(found[16:], handle) {
		t.Errorf("the handle leads to %s", alice)
	}
	record := r.treeRow(leaf[9:], bucket('l', leaf, alice[:]))
	if record[0] != 1 || record[10] >= 0x80 { // first fits in one byte here
		t.Fatal("the record's head")
	}
	secret, set, reference := record[11:43], record[43:75], record[75:91]
	if hex.EncodeToString(reference) != want.Reference || record[91] != 1 || binary.BigEndian.Uint16(record[92:]) != uint16(crashMonth) {
		t.Error("the record's reference or month")
	}
	for what, got := range map[string][]byte{
		"an event":          r.gcm(record[94:126], unhex(want.Sealed), []byte(want.Associated)),
		"a control message": r.gcm(own[5:37], unhex(want.Control), []byte("oubli/vault/1\x00"), r.vault, tenant, []byte{0}, []byte(want.Associated)),
	} {
		if string(got) != "known text" {
			t.Errorf("%s: %q", what, got)
		}
	}
	first := binary.BigEndian.AppendUint32(nil, uint32(goldenPeriod.First))
	for what, pair := range map[string][2]string{
		"mark": {want.Mark, hex.EncodeToString(prf(secret, []byte("oubli/mark/1\x00"), []byte(eventstore.MarkIdempotency), []byte{0},
			be(3), []byte("bot"), be(3), []byte("key"))[:16])},
		"row mark":    {want.RowMark, hex.EncodeToString(prf(secret, []byte("oubli/mark/1\x00"), []byte(eventstore.MarkRow), []byte{0})[:16])},
		"period mark": {want.PeriodMark, hex.EncodeToString(prf(set, []byte("oubli/period/1\x00"), []byte{byte(goldenPeriod.Kind)}, first)[:16])},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %s, want %s", what, pair[1], pair[0])
		}
	}
	metaKey, metaHash, table := own[37:69], own[69:101], []byte(eventstore.TableSettings)
	row := bytes.Join([][]byte{tenant, {'M'}, prf(metaHash, []byte("oubli/meta-table/1\x00"), table)[:8],
		prf(metaHash, []byte("oubli/meta-key/1\x00"), be(uint64(len(table))), table, []byte(want.MetaKey))[:16]}, nil)
	plain := r.gcm(metaKey, r.rows[string(row)], []byte("oubli/vault/1\x00"), r.vault, row)
	if n := int(plain[0]); string(plain[1:1+n]) != want.MetaKey || string(plain[1+n:]) != want.MetaValue {
		t.Errorf("the meta row: %q", plain)
	}
	erased := parse(t, want.Erased)
	if _, ok := r.rows[string(tenant)+"X"+string(erased[:])]; !ok {
		t.Error("the tombstone")
	}
	r.owed(own[101:133], tenant)
	r.refusals(own[133:], tenant, "email:erased@example.com", "web:erased")
}

// owed opens the owed events: the link of two persons is among them.
func (r *reading) owed(outbox, tenant []byte) {
	links := 0
	for row, sealed := range r.rows {
		if !strings.HasPrefix(row, string(tenant)+"O") {
			continue
		}
		if plain := r.gcm(outbox, sealed, []byte("oubli/vault/1\x00"), r.vault, []byte(row)); bytes.Contains(plain, []byte(eventstore.PersonLinked)) {
			links++
		}
	}
	if links == 0 {
		r.Error("no owed event tells of the link")
	}
}

// refusals finds the marks of erased handles, all of one erasure, and no other.
func (r *reading) refusals(keys, tenant []byte, handles ...string) {
	found := map[string]bool{}
	for ; len(keys) > 0; keys = keys[40:] {
		for _, h := range append(handles, "email:alice@example.com") {
			mark := prf(keys[8:40], []byte("oubli/refusal/1\x00"), []byte(h))[:16]
			if value, ok := r.rows[string(bytes.Join([][]byte{tenant, {'U'}, keys[:8], mark}, nil))]; ok {
				found[h] = true
				if hours := binary.BigEndian.Uint64(value) / 3_600_000; hours != binary.BigEndian.Uint64(keys) {
					r.Errorf("the refusal of %s: %x in the term %x", h, value, keys[:8])
				}
			}
		}
	}
	if len(found) != len(handles) || found["email:alice@example.com"] {
		r.Errorf("refused are %v", found)
	}
}

// TestFormatBelowTheRoot reads each of so many persons that there are nodes below the root, by the document.
func TestFormatBelowTheRoot(t *testing.T) {
	dir := t.TempDir()
	v, err := keyvault.Open(t.Context(), keyvault.Config{Dir: dir + "/vault", Roots: dir + "/roots", KEKFile: dir + "/kek", Create: true})
	if err != nil {
		t.Fatal(err)
	}
	r := &reading{T: t, dir: dir}
	r.must(v.CreateTenant(t.Context(), crashTenant))
	persons := map[string]eventstore.PersonID{}
	for i := range 200 {
		id := web(strconv.Itoa(i))
		p, _, err := enter(t.Context(), v, id)
		r.must(err)
		persons["web:"+id.ID] = p
	}
	r.must(v.Close())
	r.database()
	rootKey, generation := r.root()
	tenant := []byte("\x10\x00\x00\x00\x00")
	root := r.treeRow(rootKey, bytes.Join([][]byte{tenant, {'R'}, generation}, nil))
	leaves, pages, hashKey, deepest := root[9:50], root[50:91], root[91:91+32], 0
	for handle, person := range persons {
		bucket, position := r.down(tenant, 'p', pages, binary.BigEndian.Uint64(prf(hashKey, []byte(handle))))
		name := prf(bucket[9:], []byte("oubli/handle/1\x00"), []byte(handle))[:16]
		found := r.treeRow(bucket[9:], bytes.Join([][]byte{tenant, {'B'}, position, bucket[1:9], name}, nil))
		if !bytes.Equal(found, append(bytes.Clone(person[:]), handle...)) {
			t.Fatalf("%s leads to %x", handle, found[:16])
		}
		bucket, position = r.down(tenant, 'l', leaves, binary.BigEndian.Uint64(person[6:14]))
		record := r.treeRow(bucket[9:], bytes.Join([][]byte{tenant, {'B'}, position, bucket[1:9], person[:]}, nil))
		if !bytes.Contains(record, []byte(strings.TrimPrefix(handle, "web:"))) {
			t.Fatalf("the record of %s", handle)
		}
		deepest = max(deepest, int(position[1]))
	}
	if deepest < 2 {
		t.Errorf("no leaf is deeper than %d: there is no node below a node", deepest)
	}
}

// down goes from a child of the root node to the bucket of a hash, three bits a level, and answers it with its position.
func (r *reading) down(tenant []byte, trie byte, child []byte, hash uint64) (bucket, position []byte) {
	r.Helper()
	for depth := 0; ; depth++ {
		prefix := hash &^ (1<<(64-3*depth) - 1)
		if depth == 0 {
			prefix = 0
		}
		position = append([]byte{trie, byte(depth)}, be(prefix)...)
		if child[0] == 1 {
			return child, position
		}
		node := r.treeRow(child[9:], bytes.Join([][]byte{tenant, {'N'}, position, child[1:9]}, nil))
		i := int(hash >> (64 - 3*(depth+1)) & 7)
		child = node[41*i:][:41]
	}
}

func (r *reading) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}
