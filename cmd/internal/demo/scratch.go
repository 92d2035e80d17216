package demo

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/door"
	"github.com/oubli-store/oubli/keyvault"
	"github.com/oubli-store/oubli/streams"
	"github.com/oubli-store/oubli/streams/natsembed"
)

// copyOf is a copy of a data directory.
type copyOf string

// parts of a data directory.
const (
	partVault = "vault"
	partRoots = "roots"
	partKEK   = "kek"
	partNATS  = "nats"
	partLog   = "log"
)

// mix makes a data directory of parts of others, as an attacker could: each part is copied from the directory it is given with.
func (r *run) mix(name string, parts map[string]string) (copyOf, error) {
	dir := filepath.Join(r.dir, name)
	for part, from := range parts {
		if err := copyTree(filepath.Join(from, part), filepath.Join(dir, part)); err != nil {
			return "", err
		}
	}
	return copyOf(dir), nil
}

// from takes several parts from one directory.
func from(dir string, parts ...string) map[string]string {
	m := map[string]string{}
	for _, p := range parts {
		m[p] = dir
	}
	return m
}

func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o700)
		case d.Type().IsRegular():
			return copyFile(path, target)
		}
		return nil
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

type vault = *keyvault.Vault

// attempt opens a copy with the real packages and calls with its vault and store.
func (c copyOf) attempt(ctx context.Context, with func(vault, *eventstore.Store) error) (err error) {
	part := func(name string) string { return filepath.Join(string(c), name) }
	keys, err := keyvault.Open(ctx, keyvault.Config{Dir: part(partVault), Roots: part(partRoots), KEKFile: part(partKEK)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, keys.Close()) }()
	nats, err := natsembed.Start(ctx, natsembed.Config{Dir: part(partNATS)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, nats.Stop(context.WithoutCancel(ctx))) }()
	conn, err := nats.Connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	log, err := streams.Open(ctx, streams.Config{Dir: part(partLog), Conn: conn})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	store := eventstore.New(eventstore.Config{Keys: keys, Log: log, Door: door.New(door.Rules{})})
	if err := store.Open(ctx, eventstore.DefaultTenant, false); err != nil {
		return err
	}
	return with(keys, store)
}

// reading is what an attempt to read somebody gave.
type reading struct {
	events int
	err    error
}

// read looks a handle up and reads what there is.
func read(ctx context.Context, v vault, store *eventstore.Store, id eventstore.Identity) reading {
	person, err := v.Resolve(ctx, eventstore.DefaultTenant, id)
	if err != nil {
		return reading{err: err}
	}
	return readPerson(ctx, store, person)
}

// readPerson reads somebody by their id, which stands in clear on the stream.
func readPerson(ctx context.Context, store *eventstore.Store, person eventstore.PersonID) (got reading) {
	for _, err := range store.Read(ctx, eventstore.DefaultTenant, person, eventstore.ReadOptions{}) {
		if err != nil {
			got.err = err
			return got
		}
		got.events++
	}
	return got
}
