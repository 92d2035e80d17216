package sqltables

import (
	"strings"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// functions are those that a query may use.
var functions = set(`
	abs ceil ceiling exp floor ln log log10 log2 mod pi pow power round sign sqrt trunc
	char concat concat_ws format glob instr length like lower ltrim octet_length printf replace rtrim substr substring trim unicode upper
	coalesce if ifnull iif likely max min nullif typeof unlikely
	date datetime julianday strftime time timediff unixepoch
	avg count group_concat string_agg sum total
	cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number`)

func set(names string) map[string]bool {
	out := map[string]bool{}
	for name := range strings.FieldsSeq(names) {
		out[name] = true
	}
	return out
}

// schemas are the databases of a connection whose tables may be read, and the columns of SQLite's own table in them.
var schemas = set("main provisional")

// admits says whether a statement may do one thing; the arguments are those of sqlite3_set_authorizer.
func (r *run) admits(action int32, first, second, schema string) bool {
	switch action {
	case sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE:
		return true
	case sqlite3.SQLITE_READ:
		return r.tables[first] && schemas[schema] || second == "" && schema == "" && !virtual(first)
	case sqlite3.SQLITE_FUNCTION:
		return functions[strings.ToLower(second)]
	}
	return false
}

// virtual says whether a name is one of SQLite's own tables that are made when they are named. SQLite asks for a table of which no column is read without telling
// its database, and likewise for the name of a common table expression; what else could be meant was taken out of the connection ([conn.confine]).
func virtual(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "pragma_") || strings.HasPrefix(name, "json")
}

// authorize is called by SQLite; argument is the number of a run.
func authorize(tls *libc.TLS, argument uintptr, action int32, first, second, schema, trigger uintptr) int32 {
	r := runs.of(argument)
	if r == nil || !r.admits(action, libc.GoString(first), libc.GoString(second), libc.GoString(schema)) {
		return sqlite3.SQLITE_DENY
	}
	return sqlite3.SQLITE_OK
}
