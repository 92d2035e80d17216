package sqltables

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/oubli-store/oubli/projections/tabular"
)

// run is a query at work, as SQLite's callbacks find it.
type run struct {
	ctx    context.Context
	tables map[string]bool
	// spent says that there was too little memory.
	spent bool
}

// registry numbers the runs: C code can only be handed a number.
type registry struct {
	next atomic.Uint64
	live sync.Map
}

var runs registry

func (g *registry) add(r *run) uintptr {
	n := uintptr(g.next.Add(1))
	g.live.Store(n, r)
	return n
}

func (g *registry) of(n uintptr) *run {
	r, _ := g.live.Load(n)
	out, _ := r.(*run)
	return out
}

// look is called by SQLite now and then; anything but zero ends the query.
func look(tls *libc.TLS, argument uintptr) int32 {
	r := runs.of(argument)
	if r == nil || r.ctx.Err() != nil {
		return 1
	}
	if memoryUsed(tls) > allowed() {
		r.spent = true
		return 1
	}
	return 0
}

// ask runs one query over images. The first is the database main, the second, if any, provisional.
func ask(ctx context.Context, l Limits, images []*Image, query string) (tabular.Table, error) {
	if err := checkText(query); err != nil {
		return tabular.Table{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, l.Time, ErrTime)
	defer cancel()
	if err := started(); err != nil {
		return tabular.Table{}, err
	}
	allow(l.Memory)
	defer allow(-l.Memory)
	c, err := open()
	if err != nil {
		return tabular.Table{}, err
	}
	defer c.close()
	r := &run{ctx: ctx, tables: map[string]bool{"sqlite_schema": true, "sqlite_master": true}}
	if err := c.attach(images, r); err != nil {
		return tabular.Table{}, err
	}
	number := runs.add(r)
	defer runs.live.Delete(number)
	c.confine(number)
	out, err := c.answer(l, query)
	switch cause := context.Cause(ctx); {
	case err == nil:
		return out, nil
	case r.spent:
		return out, ErrMemory
	case cause != nil && errors.Is(err, ErrTime):
		return out, cause
	}
	return out, err
}

func checkText(query string) error {
	switch {
	case len(query) > MaxQuery:
		return ErrLong
	case !utf8.ValidString(query) || strings.ContainsRune(query, 0):
		return ErrText
	case strings.TrimSpace(query) == "":
		return ErrEmpty
	}
	return nil
}

// attach opens the images.
func (c *conn) attach(images []*Image, r *run) error {
	for n, image := range images {
		schema := "main"
		if n > 0 {
			schema = "provisional"
			if err := c.exec("ATTACH ':memory:' AS provisional"); err != nil {
				return err
			}
		}
		rc, err := c.withText(schema, func(name uintptr) int32 {
			return sqlite3.Xsqlite3_deserialize(c.tls, c.db, name, image.at, image.size, image.size, sqlite3.SQLITE_DESERIALIZE_READONLY)
		})
		if err != nil || rc != sqlite3.SQLITE_OK {
			return fmt.Errorf("%w: opening an image: code %d (%v)", errLibrary, rc, err)
		}
		for _, t := range image.tables {
			r.tables[t] = true
		}
	}
	return c.exec("PRAGMA query_only=1; PRAGMA temp_store=MEMORY; PRAGMA cell_size_check=1")
}

// settings of a connection that a query is let loose on.
var settings = map[int32]int32{
	sqlite3.SQLITE_DBCONFIG_DEFENSIVE:             1,
	sqlite3.SQLITE_DBCONFIG_TRUSTED_SCHEMA:        0,
	sqlite3.SQLITE_DBCONFIG_DQS_DML:               0,
	sqlite3.SQLITE_DBCONFIG_DQS_DDL:               0,
	sqlite3.SQLITE_DBCONFIG_ENABLE_TRIGGER:        0,
	sqlite3.SQLITE_DBCONFIG_ENABLE_VIEW:           0,
	sqlite3.SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION: 0,
	sqlite3.SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE:  0,
	sqlite3.SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE:   0,
}

// confine puts every limit into force; from here on the connection only runs what the query says.
func (c *conn) confine(number uintptr) {
	for what, value := range settings {
		list := libc.NewVaList(value, uintptr(0))
		sqlite3.Xsqlite3_db_config(c.tls, c.db, what, list)
		libc.Xfree(c.tls, list)
	}
	for what, most := range statementLimits {
		sqlite3.Xsqlite3_limit(c.tls, c.db, what, most)
	}
	sqlite3.Xsqlite3_drop_modules(c.tls, c.db, 0)
	sqlite3.Xsqlite3_progress_handler(c.tls, c.db, stepsBetweenLooks, function(look), number)
	sqlite3.Xsqlite3_set_authorizer(c.tls, c.db, function(authorize), number)
}

// answer prepares and runs the query.
func (c *conn) answer(l Limits, query string) (out tabular.Table, err error) {
	text, err := libc.CString(query)
	if err != nil {
		return out, fmt.Errorf("%w: %w", errLibrary, err)
	}
	defer libc.Xfree(c.tls, text)
	s, tail, err := c.prepare(query, text, text)
	defer sqlite3.Xsqlite3_finalize(c.tls, s)
	if err != nil {
		return out, err
	}
	if s == 0 { // a comment, or a semicolon alone
		return out, ErrEmpty
	}
	more, _, err := c.prepare(query, text, tail)
	sqlite3.Xsqlite3_finalize(c.tls, more)
	switch {
	case more != 0 || err != nil:
		return out, at(ErrOneStatement, query, int32(tail-text))
	case sqlite3.Xsqlite3_stmt_readonly(c.tls, s) == 0 || sqlite3.Xsqlite3_column_count(c.tls, s) == 0:
		return out, ErrOnlyRead
	case sqlite3.Xsqlite3_bind_parameter_count(c.tls, s) > 0:
		return out, ErrPlaceholder
	}
	return c.rows(l, query, s)
}

// prepare prepares the first statement that begins at from, which points into the query's text; tail is where it ends.
func (c *conn) prepare(query string, text, from uintptr) (s, tail uintptr, err error) {
	rc := c.out(&tail, func(toTail uintptr) int32 {
		return c.out(&s, func(to uintptr) int32 { return sqlite3.Xsqlite3_prepare_v3(c.tls, c.db, from, -1, 0, to, toTail) })
	})
	if rc == sqlite3.SQLITE_OK {
		return s, tail, nil
	}
	offset := sqlite3.Xsqlite3_error_offset(c.tls, c.db)
	if offset >= 0 {
		offset += int32(from - text)
	}
	return s, tail, problem(rc, c.message(), query, offset)
}

// rows reads the answer.
func (c *conn) rows(l Limits, query string, s uintptr) (out tabular.Table, err error) {
	out.Name = "answer"
	n := sqlite3.Xsqlite3_column_count(c.tls, s)
	bytes := 0
	for i := range n {
		name := libc.GoString(sqlite3.Xsqlite3_column_name(c.tls, s, i))
		bytes += len(name)
		out.Columns = append(out.Columns, tabular.Column{Name: name})
	}
	for {
		switch rc := sqlite3.Xsqlite3_step(c.tls, s); rc {
		case sqlite3.SQLITE_ROW:
			row := make([]any, n)
			for i := range n {
				row[i] = c.value(s, i)
				bytes += 16
				if text, ok := row[i].(string); ok {
					bytes += len(text)
				}
			}
			if out.Rows = append(out.Rows, row); len(out.Rows) > l.Rows || bytes > l.Bytes {
				return tabular.Table{}, ErrRows
			}
		case sqlite3.SQLITE_DONE:
			settle(&out)
			return out, nil
		default:
			return tabular.Table{}, problem(rc, c.message(), query, -1)
		}
	}
}

// value is one value of the present row.
func (c *conn) value(s uintptr, i int32) any {
	switch sqlite3.Xsqlite3_column_type(c.tls, s, i) {
	case sqlite3.SQLITE_INTEGER:
		return sqlite3.Xsqlite3_column_int64(c.tls, s, i)
	case sqlite3.SQLITE_FLOAT:
		return finite(sqlite3.Xsqlite3_column_double(c.tls, s, i))
	case sqlite3.SQLITE_NULL:
		return nil
	}
	text := sqlite3.Xsqlite3_column_text(c.tls, s, i)
	size := sqlite3.Xsqlite3_column_bytes(c.tls, s, i)
	if text == 0 || size <= 0 {
		return ""
	}
	return strings.ToValidUTF8(string(libc.GoBytes(text, int(size))), "\uFFFD")
}
