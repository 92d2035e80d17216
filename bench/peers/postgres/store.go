package postgres

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// schema is what the same store would be in tables: a key for each person, and sealed events that can be read by person.
const schema = `
create table keys (person bytea primary key, key bytea not null);
create table events (sequence bigserial primary key, person bytea not null, sealed bytea not null);
create index on events (person, sequence);`

// Store keeps events sealed in the client, with AES-256-GCM under their persons' keys.
type Store struct {
	s       *Server
	persons [][]byte
	keys    []cipher.AEAD
	text    []byte
}

// Open makes the tables and a key for each person. The keys are held open.
func (s *Server) Open(ctx context.Context, persons int, text []byte) (*Store, error) {
	c, err := s.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close(ctx) }()
	if _, err := c.Exec(ctx, schema); err != nil {
		return nil, fmt.Errorf("making the tables: %w", err)
	}
	st := &Store{s: s, text: text}
	rows := make([][]any, persons)
	for i := range rows {
		person, key := make([]byte, 16), make([]byte, 32)
		binary.BigEndian.PutUint64(person, uint64(i))
		_, _ = rand.Read(key)
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		a, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		st.persons, st.keys, rows[i] = append(st.persons, person), append(st.keys, a), []any{person, key}
	}
	_, err = c.CopyFrom(ctx, pgx.Identifier{"keys"}, []string{"person", "key"}, pgx.CopyFromRows(rows))
	return st, err
}

// event seals the i-th event.
func (st *Store) event(i int) (person, sealed []byte) {
	i %= len(st.persons)
	return st.persons[i], st.keys[i].Seal(nil, nil, st.text, st.persons[i])
}

// Inserts inserts n events one by one over some connections, each acknowledged when it is on disk, and returns how long each took and all.
func (st *Store) Inserts(ctx context.Context, connections, n int) ([]time.Duration, time.Duration, error) {
	took := make([]time.Duration, n)
	all, err := st.over(ctx, connections, n, 1, func(c *pgx.Conn, first, _ int) error {
		begin := time.Now()
		person, sealed := st.event(first)
		_, err := c.Exec(ctx, "insert into events (person, sealed) values ($1, $2)", person, sealed)
		took[first] = time.Since(begin)
		return err
	})
	return took, all, err
}

// Copies copies n events in batches of 256 over some connections.
func (st *Store) Copies(ctx context.Context, connections, n int) (time.Duration, error) {
	return st.over(ctx, connections, n, 256, func(c *pgx.Conn, first, size int) error {
		_, err := c.CopyFrom(ctx, pgx.Identifier{"events"}, []string{"person", "sealed"}, pgx.CopyFromSlice(size, func(k int) ([]any, error) {
			person, sealed := st.event(first + k)
			return []any{person, sealed}, nil
		}))
		return err
	})
}

// Unnests inserts n events in statements of 256 rows over some connections.
func (st *Store) Unnests(ctx context.Context, connections, n int) (time.Duration, error) {
	return st.over(ctx, connections, n, 256, func(c *pgx.Conn, first, size int) error {
		persons, sealed := make([][]byte, size), make([][]byte, size)
		for k := range size {
			persons[k], sealed[k] = st.event(first + k)
		}
		_, err := c.Exec(ctx, "insert into events (person, sealed) select * from unnest($1::bytea[], $2::bytea[])", persons, sealed)
		return err
	})
}

// over divides n events into steps for some connections, which are made beforehand.
func (st *Store) over(ctx context.Context, connections, n, step int, do func(c *pgx.Conn, first, size int) error) (time.Duration, error) {
	conns := make([]*pgx.Conn, connections)
	for i := range conns {
		c, err := st.s.Connect(ctx)
		if err != nil {
			return 0, err
		}
		defer func() { _ = c.Close(ctx) }()
		conns[i] = c
	}
	var (
		next   atomic.Int64
		wait   sync.WaitGroup
		failed atomic.Pointer[error]
		start  = time.Now()
	)
	for _, c := range conns {
		wait.Go(func() {
			for failed.Load() == nil {
				first := int(next.Add(int64(step))) - step
				if first >= n {
					return
				}
				if err := do(c, first, min(step, n-first)); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wait.Wait()
	took := time.Since(start)
	if err := failed.Load(); err != nil {
		return took, *err
	}
	return took, nil
}
