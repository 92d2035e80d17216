package sqltables

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// errLibrary is a failure of SQLite that no query can bring about.
var errLibrary = errors.New("sqltables: SQLite fails")

// started prepares SQLite for the whole process, once: it counts the memory that it takes, which must be asked for before its first use.
var started = sync.OnceValue(func() error {
	tls := libc.NewTLS()
	defer tls.Close()
	list := libc.NewVaList(int32(1))
	defer libc.Xfree(tls, list)
	if rc := sqlite3.Xsqlite3_config(tls, sqlite3.SQLITE_CONFIG_MEMSTATUS, list); rc != sqlite3.SQLITE_OK {
		return fmt.Errorf("%w: counting memory: code %d", errLibrary, rc)
	}
	if rc := sqlite3.Xsqlite3_initialize(tls); rc != sqlite3.SQLITE_OK {
		return fmt.Errorf("%w: starting: code %d", errLibrary, rc)
	}
	return nil
})

// conn is a connection to a database in memory. It belongs to one goroutine.
type conn struct {
	tls *libc.TLS
	db  uintptr
}

const openFlags = sqlite3.SQLITE_OPEN_READWRITE | sqlite3.SQLITE_OPEN_CREATE | sqlite3.SQLITE_OPEN_MEMORY | sqlite3.SQLITE_OPEN_NOMUTEX

func open() (*conn, error) {
	if err := started(); err != nil {
		return nil, err
	}
	c := &conn{tls: libc.NewTLS()}
	rc, err := c.withText(":memory:", func(name uintptr) int32 {
		return c.out(&c.db, func(to uintptr) int32 { return sqlite3.Xsqlite3_open_v2(c.tls, name, to, openFlags, 0) })
	})
	if err == nil && rc != sqlite3.SQLITE_OK {
		err = fmt.Errorf("%w: opening: code %d", errLibrary, rc)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *conn) close() {
	if c.db != 0 {
		sqlite3.Xsqlite3_close_v2(c.tls, c.db)
	}
	c.tls.Close()
}

// out calls a function that writes a pointer, and reads it. Memory of Go is never handed to SQLite.
func (c *conn) out(p *uintptr, call func(to uintptr) int32) int32 {
	to := c.tls.Alloc(8)
	defer c.tls.Free(8)
	rc := call(to)
	*p = uintptr(binary.NativeEndian.Uint64(libc.GoBytes(to, 8)))
	return rc
}

// withText calls a function with a C string.
func (c *conn) withText(s string, call func(uintptr) int32) (int32, error) {
	text, err := libc.CString(s)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errLibrary, err)
	}
	defer libc.Xfree(c.tls, text)
	return call(text), nil
}

// exec runs statements of this package's own.
func (c *conn) exec(statements string) error {
	rc, err := c.withText(statements, func(text uintptr) int32 { return sqlite3.Xsqlite3_exec(c.tls, c.db, text, 0, 0, 0) })
	if err == nil && rc != sqlite3.SQLITE_OK {
		err = fmt.Errorf("%w: %s", errLibrary, c.message())
	}
	return err
}

// message is what SQLite says of its last error. It can repeat a query.
func (c *conn) message() string { return libc.GoString(sqlite3.Xsqlite3_errmsg(c.tls, c.db)) }

// function is a Go function that SQLite can call. It must be a declared one, no closure.
func function[T any](f T) uintptr {
	return *(*uintptr)(unsafe.Pointer(&struct{ f T }{f}))
}
