package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault"
	"github.com/oubli-store/oubli/keyvault/kms"
	"github.com/oubli-store/oubli/keyvault/shadow"
	"github.com/oubli-store/oubli/streams"
	"github.com/oubli-store/oubli/streams/natsembed"
)

// findData locks a data directory that is there.
func findData(path string) (*dataDir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(path, formatFile), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not a data directory of oubli (the file %s is missing); name another --data: %w", path, formatFile, eventstore.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the data directory: %w", err)
	}
	d := &dataDir{path: path, lock: f}
	if err := d.take("stop the server first"); err != nil {
		return nil, err
	}
	err = d.check()
	if err == nil && d.fresh {
		err = fmt.Errorf("the first start on %s did not come to its end; start the server once", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return d, nil
}

// stopped is the files of a stopped server.
type stopped struct {
	c       Config
	data    *dataDir
	files   *shadow.FS
	vault   *keyvault.Vault
	streams *streams.Streams // nil with an external NATS
}

// openStopped locks the data directory and opens its vault; with inspect set, as much of it as opens. What opening puts in order is put in order in memory.
func openStopped(ctx context.Context, c Config, inspect bool) (*stopped, error) {
	c = c.withDefaults()
	data, err := findData(c.Data)
	if err != nil {
		return nil, err
	}
	s := &stopped{c: c, data: data, files: shadow.New()}
	if err := s.openVault(ctx, inspect); err != nil {
		return nil, errors.Join(err, data.Close())
	}
	return s, nil
}

func (s *stopped) openVault(ctx context.Context, inspect bool) (err error) {
	dirs := s.c.RootDirs()
	for i := range dirs {
		if dirs[i], err = filepath.Abs(dirs[i]); err != nil {
			return err
		}
	}
	s.vault, err = keyvault.Open(ctx, keyvault.Config{Dir: s.data.in("vault"), Roots: dirs[0], RootCopies: dirs[1:], KEK: s.c.KEK, KEKFile: s.data.in("kek"),
		KMS: kms.Clients(), Now: s.c.Now, FS: s.files, Inspect: inspect})
	if err != nil {
		return explain(fmt.Errorf("opening the vault: %w", err))
	}
	return nil
}

func (s *stopped) close() {
	_ = s.vault.Close() // it writes to memory
	s.data.Close()
}

// copies starts a NATS server over a copy of the streams whose names match, in a temporary directory, and says how log/ is opened over it so that it
// stays as it is.
func (s *stopped) copies(ctx context.Context, pattern string) (c streams.Config, end func(), err error) {
	dir, err := os.MkdirTemp("", "oubli-check-")
	if err != nil {
		return c, nil, err
	}
	closers := []func(){func() { os.RemoveAll(dir) }}
	stop := func() {
		for _, f := range slices.Backward(closers) {
			f()
		}
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	from, err := filepath.Glob(filepath.Join(s.data.in("nats"), "jetstream", "*", "streams", pattern))
	if err != nil {
		return c, nil, err
	}
	for _, stream := range from {
		to, err := filepath.Rel(s.data.in("nats"), stream)
		if err != nil {
			return c, nil, err
		}
		if err := os.CopyFS(filepath.Join(dir, to), os.DirFS(stream)); err != nil {
			return c, nil, fmt.Errorf("copying a stream to look at it: %w", err)
		}
	}
	server, err := natsembed.Start(ctx, natsembed.Config{Dir: dir, Logger: s.c.Log})
	if err != nil {
		return c, nil, err
	}
	closers = append(closers, func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		_ = server.Stop(bounded) // it works on a copy
	})
	conn, err := server.Connect()
	if err != nil {
		return c, nil, err
	}
	closers = append(closers, conn.Close)
	return streams.Config{Dir: s.data.in("log"), Conn: conn, Now: s.c.Now, Logger: s.c.Log, FS: s.files, Settle: natsembed.Settle}, stop, nil
}
