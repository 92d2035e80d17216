package sqltables

import (
	"sync"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// allowance is what SQLite may hold in the whole process, in bytes: what every image, image in the making, and running query was allowed, together. It is looked at while queries
// run ([look]), and is SQLite's own limit besides: where that is met SQLite gets no memory, and the query that asked for it ends.
var allowance struct {
	sync.Mutex
	bytes int64
}

// spare is what SQLite needs in any case.
const spare = 8 << 20

// allow raises the allowance, or lowers it.
func allow(bytes int64) {
	tls := libc.NewTLS()
	defer tls.Close()
	allowance.Lock()
	defer allowance.Unlock()
	allowance.bytes += bytes
	sqlite3.Xsqlite3_hard_heap_limit64(tls, spare+allowance.bytes)
}

// allowed is the allowance.
func allowed() int64 {
	allowance.Lock()
	defer allowance.Unlock()
	return spare + allowance.bytes
}

// memoryUsed is what SQLite holds in the whole process, in bytes.
func memoryUsed(tls *libc.TLS) int64 { return sqlite3.Xsqlite3_memory_used(tls) }
