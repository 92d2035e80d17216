package sqltables

import (
	"context"
	"fmt"
	"iter"
	"math"
	"strings"
	"sync/atomic"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/oubli-store/oubli/projections/tabular"
)

// Image is a database of tables, held in SQLite's memory and never changed. It must be released.
type Image struct {
	at   uintptr
	size int64
	// users counts who holds it.
	users  atomic.Int64
	tables []string
	rows   int
}

const pageSize = 4096

// Source is a table to be.
type Source struct {
	Name    string
	Columns []tabular.Column
	// Rows are as long as Columns, of strings, int64, uint64, float64 and nil.
	Rows iter.Seq2[[]any, error]
}

// Build makes an image of tables, of at most so many bytes: [ErrFigures]. The caller holds it.
func Build(ctx context.Context, most int64, sources ...Source) (*Image, error) {
	if err := started(); err != nil {
		return nil, err
	}
	allow(2 * most) // the database, and its copy
	defer allow(-2 * most)
	c, err := open()
	if err != nil {
		return nil, err
	}
	defer c.close()
	image := &Image{}
	if err := c.exec(fmt.Sprintf("PRAGMA page_size=%d; PRAGMA max_page_count=%d; ", pageSize, max(most/pageSize, 1)) + "CREATE TABLE \"-\"(x); DROP TABLE \"-\"; BEGIN"); err != nil { // An image is never empty.
		return nil, err
	}
	for _, source := range sources {
		n, err := c.load(ctx, source)
		if err != nil {
			return nil, err
		}
		image.rows += n
		image.tables = append(image.tables, source.Name)
	}
	if err := c.exec("COMMIT"); err != nil {
		return nil, err
	}
	var size uintptr
	rc, err := c.withText("main", func(schema uintptr) int32 {
		return c.out(&size, func(to uintptr) int32 {
			image.at = sqlite3.Xsqlite3_serialize(c.tls, c.db, schema, to, 0)
			return sqlite3.SQLITE_OK
		})
	})
	if image.size = int64(size); err != nil || rc != sqlite3.SQLITE_OK || image.at == 0 || image.size <= 0 {
		return nil, fmt.Errorf("%w: making an image (%v)", errLibrary, err)
	}
	allow(image.size)
	image.users.Store(1)
	return image, nil
}

// Size is what the image takes, in bytes.
func (i *Image) Size() int64 { return i.size }

// Rows is how many rows its tables have together.
func (i *Image) Rows() int { return i.rows }

// Hold keeps the image for one more user; whoever calls it holds it already.
func (i *Image) Hold() *Image {
	i.users.Add(1)
	return i
}

// Release ends one hold; after the last the image is gone.
func (i *Image) Release() {
	if i.users.Add(-1) > 0 {
		return
	}
	tls := libc.NewTLS()
	defer tls.Close()
	sqlite3.Xsqlite3_free(tls, i.at)
	allow(-i.size)
	i.at = 0
}

var declared = map[tabular.Type]string{tabular.String: "TEXT", tabular.Date: "TEXT", tabular.Integer: "INTEGER", tabular.Number: "REAL"}

// load makes one table, fills it, and counts its rows.
func (c *conn) load(ctx context.Context, t Source) (rows int, err error) {
	var names, places []string
	for _, column := range t.Columns {
		names = append(names, quoted(column.Name)+" "+declared[column.Type])
		places = append(places, "?")
	}
	if err := c.exec("CREATE TABLE " + quoted(t.Name) + "(" + strings.Join(names, ",") + ")"); err != nil {
		return 0, err
	}
	s, err := c.prepareOwn("INSERT INTO " + quoted(t.Name) + " VALUES(" + strings.Join(places, ",") + ")")
	if err != nil {
		return 0, err
	}
	defer sqlite3.Xsqlite3_finalize(c.tls, s)
	for row, err := range t.Rows {
		if err == nil && rows%1000 == 0 {
			err = ctx.Err()
		}
		if err == nil {
			err = c.insert(s, row)
		}
		if err != nil {
			return rows, err
		}
		rows++
	}
	return rows, nil
}

func (c *conn) insert(s uintptr, row []any) error {
	for i, v := range row {
		if err := c.bind(s, int32(i+1), v); err != nil {
			return err
		}
	}
	switch rc := sqlite3.Xsqlite3_step(c.tls, s); rc {
	case sqlite3.SQLITE_DONE:
		sqlite3.Xsqlite3_reset(c.tls, s)
		return nil
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM:
		return ErrFigures
	default:
		return fmt.Errorf("%w: filling a table: code %d", errLibrary, rc)
	}
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// prepareOwn prepares a statement of this package's own.
func (c *conn) prepareOwn(statement string) (s uintptr, err error) {
	rc, err := c.withText(statement, func(text uintptr) int32 {
		return c.out(&s, func(to uintptr) int32 { return sqlite3.Xsqlite3_prepare_v3(c.tls, c.db, text, -1, 0, to, 0) })
	})
	if err == nil && rc != sqlite3.SQLITE_OK {
		err = fmt.Errorf("%w: %s", errLibrary, c.message())
	}
	return s, err
}

// transient has SQLite make a copy of a text.
const transient = ^uintptr(0)

func (c *conn) bind(s uintptr, i int32, v any) error {
	var rc int32
	var err error
	switch v := v.(type) {
	case nil:
		rc = sqlite3.Xsqlite3_bind_null(c.tls, s, i)
	case int64:
		rc = sqlite3.Xsqlite3_bind_int64(c.tls, s, i, v)
	case uint64:
		rc = sqlite3.Xsqlite3_bind_int64(c.tls, s, i, int64(min(v, math.MaxInt64)))
	case float64:
		rc = sqlite3.Xsqlite3_bind_double(c.tls, s, i, v)
	case string:
		rc, err = c.withText(v, func(text uintptr) int32 {
			return sqlite3.Xsqlite3_bind_text(c.tls, s, i, text, int32(len(v)), transient)
		})
	default:
		return fmt.Errorf("sqltables: a value of type %T cannot stand in a table", v)
	}
	if err == nil && rc != sqlite3.SQLITE_OK {
		err = fmt.Errorf("%w: setting a value: code %d", errLibrary, rc)
	}
	return err
}
