package sqltables

import (
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// Limits bound the queries of an [Engine].
type Limits struct {
	// Time is how long a query may run.
	Time time.Duration
	// Rows and Bytes bound an answer; a value counts as its text, and 16 bytes.
	Rows, Bytes int
	// Memory is what a query may take, in bytes, beside its images; what counts is what all that run take together.
	Memory int64
	// Running is how many queries run at a time, Waiting how many more wait for each tenant.
	Running, Waiting int
}

// Defaults are the limits of a server.
var Defaults = Limits{Time: 5 * time.Second, Rows: 100_000, Bytes: 32 << 20, Memory: 64 << 20, Running: 2, Waiting: 32}

// MaxQuery bounds a query, in bytes.
const MaxQuery = 64 << 10

// maxValue bounds a text, and the row of an intermediate result, in bytes. Some functions take time that grows with the square of it.
const maxValue = 32 << 10

// statementLimits are those of every statement.
var statementLimits = map[int32]int32{
	sqlite3.SQLITE_LIMIT_LENGTH:              maxValue,
	sqlite3.SQLITE_LIMIT_SQL_LENGTH:          MaxQuery,
	sqlite3.SQLITE_LIMIT_COLUMN:              500,
	sqlite3.SQLITE_LIMIT_EXPR_DEPTH:          100,
	sqlite3.SQLITE_LIMIT_COMPOUND_SELECT:     50,
	sqlite3.SQLITE_LIMIT_VDBE_OP:             250_000,
	sqlite3.SQLITE_LIMIT_FUNCTION_ARG:        32,
	sqlite3.SQLITE_LIMIT_ATTACHED:            0,
	sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 256,
	sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER:     1,
	sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH:       0,
	sqlite3.SQLITE_LIMIT_WORKER_THREADS:      0,
	sqlite3.SQLITE_LIMIT_PARSER_DEPTH:        500,
}

// stepsBetweenLooks is how many steps of SQLite's machine pass between two looks at time and memory. The longest step, a search for a text of half of maxValue in one of
// maxValue, takes about 10 ms.
const stepsBetweenLooks = 50
