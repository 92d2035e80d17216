package register

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/oubli-store/oubli/keyvault/secret"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Version is the version of the files.
const Version = 1

// FileName is the register's file in its directory.
const FileName = "register"

const (
	blockSize = 4096
	bodySize  = blockSize - sha256.Size
	sealedAt  = 4 + 1 + 1 + 4 + 1 + 8
	rootSize  = 32
	growBy    = 16 // tenants
	fileMagic = "oubliroots"
	slotMagic = "oubr"
)

// File is one copy of the embedded register.
type File struct {
	fs    vfs.FS
	f     vfs.File
	vault [16]byte
	aead  tink.AEAD

	mu   sync.Mutex // growing, the header
	size int64
	head header
	// ragged says that the header's blocks are not both there and alike, as a crash leaves them.
	ragged bool
}

var _ Register = (*File)(nil)

// openFile opens the register of a vault in dir, if there is one: otherwise the error matches fs.ErrNotExist.
func openFile(fs vfs.FS, dir string, vault [16]byte, key secret.Bytes) (*File, error) {
	a, err := subtle.NewAESGCM(key.Reveal())
	if err != nil {
		return nil, err
	}
	r := &File{fs: fs, vault: vault, aead: a}
	path := fs.PathJoin(dir, FileName)
	if _, err := fs.Stat(path); err != nil { // opening for writing would make it
		return nil, err
	}
	if r.f, err = fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified); err != nil {
		return nil, err
	}
	if err := r.readHeader(); err != nil {
		return nil, errors.Join(err, r.f.Close())
	}
	return r, nil
}

// createFile writes the whole file under another name first, so that a crash leaves none or all of it.
func createFile(fs vfs.FS, dir string, vault [16]byte, h header) error {
	r := &File{vault: vault}
	var b bytes.Buffer
	for range headerBlocks {
		b.Write(h.block(vault))
	}
	for i := uint32(0); i < growBy; i++ {
		for s := range 2 {
			block, err := r.emptySlot(i, s)
			if err != nil {
				return err
			}
			b.Write(block)
		}
	}
	return replaceFile(fs, dir, fs.PathJoin(dir, FileName), b.Bytes())
}

func checksummed(body []byte) []byte {
	sum := sha256.Sum256(body)
	return append(body, sum[:]...)
}

func sound(block []byte) bool {
	sum := sha256.Sum256(block[:bodySize])
	return bytes.Equal(sum[:], block[bodySize:])
}

func offset(tenant uint32, slot int) int64 {
	return blockSize * (headerBlocks + 2*int64(tenant) + int64(slot))
}

func (r *File) slotBlock(state State, tenant uint32, slot int, generation uint64, sealed []byte) ([]byte, error) {
	b := append([]byte(slotMagic), Version, byte(state))
	b = binary.BigEndian.AppendUint32(b, tenant)
	b = append(b, byte(slot))
	b = binary.BigEndian.AppendUint64(b, generation)
	b = append(b, sealed...)
	n := len(b)
	b = append(b, make([]byte, bodySize-n)...)
	if _, err := io.ReadFull(rand.Reader, b[n:]); err != nil {
		return nil, fmt.Errorf("drawing filler: %w", err)
	}
	return checksummed(b), nil
}

func (r *File) emptySlot(tenant uint32, slot int) ([]byte, error) {
	return r.slotBlock(Empty, tenant, slot, 0, nil)
}

func (r *File) associated(tenant uint32, slot int, generation uint64) []byte {
	a := append([]byte("oubli/register/1\x00"), r.vault[:]...)
	a = binary.BigEndian.AppendUint32(a, tenant)
	a = append(a, byte(slot))
	return binary.BigEndian.AppendUint64(a, generation)
}

// Slots implements [Register].
func (r *File) Slots(_ context.Context, tenant uint32) (out [2]Slot, err error) {
	for s := range out {
		block := make([]byte, blockSize)
		n, err := r.f.ReadAt(block, offset(tenant, s))
		if errors.Is(err, io.EOF) && n == 0 {
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return out, fmt.Errorf("%s: reading a slot: %w", FileName, err)
		}
		if out[s], err = r.decode(block, tenant, s); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (r *File) decode(block []byte, tenant uint32, slot int) (Slot, error) {
	if !sound(block) || !bytes.HasPrefix(block, []byte(slotMagic)) {
		return Slot{State: Torn}, nil
	}
	if block[4] > Version {
		return Slot{}, fmt.Errorf("%s: a slot: %w", FileName, ErrVersion)
	}
	if State(block[5]) == Empty {
		return Slot{}, nil
	}
	generation := binary.BigEndian.Uint64(block[11:])
	key, err := r.aead.Decrypt(block[sealedAt:][:12+rootSize+16], r.associated(tenant, slot, generation))
	if err != nil {
		return Slot{State: Torn}, nil
	}
	return Slot{State: Full, Root: Root{Generation: generation, Key: secret.New(key)}}, nil
}

// Write implements [Register].
func (r *File) Write(_ context.Context, tenant uint32, slot int, root Root) error {
	sealed, err := r.aead.Encrypt(root.Key.Reveal(), r.associated(tenant, slot, root.Generation))
	if err != nil {
		return err
	}
	block, err := r.slotBlock(Full, tenant, slot, root.Generation, sealed)
	if err != nil {
		return err
	}
	return r.overwrite(tenant, slot, block)
}

// Efface implements [Register].
func (r *File) Efface(_ context.Context, tenant uint32, slot int) error {
	block, err := r.emptySlot(tenant, slot)
	if err != nil {
		return err
	}
	return r.overwrite(tenant, slot, block)
}

func (r *File) overwrite(tenant uint32, slot int, block []byte) error {
	if err := r.grow(tenant); err != nil {
		return err
	}
	if _, err := r.f.WriteAt(block, offset(tenant, slot)); err != nil {
		return fmt.Errorf("%s: writing a slot: %w", FileName, err)
	}
	if err := r.f.Sync(); err != nil {
		return fmt.Errorf("%s: syncing: %w", FileName, err)
	}
	return nil
}

// grow makes room for a tenant. Blocks are only ever added.
func (r *File) grow(tenant uint32) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if offset(tenant, 2) <= r.size {
		return nil
	}
	size := r.size - r.size%blockSize
	first := uint32((size/blockSize - headerBlocks) / 2)
	size = offset(first, 0)
	var b []byte
	for i := first; i < tenant+growBy; i++ {
		for s := range 2 {
			block, err := r.emptySlot(i, s)
			if err != nil {
				return err
			}
			b = append(b, block...)
		}
	}
	if _, err := r.f.WriteAt(b, size); err != nil {
		return fmt.Errorf("%s: growing: %w", FileName, err)
	}
	if err := r.f.Sync(); err != nil {
		return fmt.Errorf("%s: syncing: %w", FileName, err)
	}
	r.size = size + int64(len(b))
	return nil
}

// Tenants implements [Register].
func (r *File) Tenants(context.Context) (uint32, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return uint32((r.size/blockSize - headerBlocks + 1) / 2), nil
}

// Close implements [Register].
func (r *File) Close() error { return r.f.Close() }
