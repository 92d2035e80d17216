package sqltables

import (
	"strings"
	"unicode/utf8"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/oubli-store/oubli/eventstore"
)

// Problems of queries. Each is of kind invalid but the last ones.
var (
	ErrEmpty        = eventstore.Refuse(eventstore.KindInvalid, "query", "there is no query")
	ErrLong         = eventstore.Refuse(eventstore.KindInvalid, "query", "a query has at most 65536 bytes")
	ErrText         = eventstore.Refuse(eventstore.KindInvalid, "query", "the query is not UTF-8 text without zero bytes")
	ErrOneStatement = eventstore.Refuse(eventstore.KindInvalid, "query", "one statement at a time; something stands behind the first")
	ErrOnlyRead     = eventstore.Refuse(eventstore.KindInvalid, "query", "only SELECT over the tables of figures is allowed")
	ErrPlaceholder  = eventstore.Refuse(eventstore.KindInvalid, "query", "a query cannot have placeholders (?, :name); write the values into it")
	ErrSyntax       = eventstore.Refuse(eventstore.KindInvalid, "query", "this is not valid SQL of SQLite")
	ErrNoTable      = eventstore.Refuse(eventstore.KindInvalid, "query", "there is no such table; SELECT name FROM sqlite_schema lists them, and the table dictionary says what they hold")
	ErrNoColumn     = eventstore.Refuse(eventstore.KindInvalid, "query", "there is no such column; the table dictionary lists them. A text stands in 'single quotes'")
	ErrAmbiguous    = eventstore.Refuse(eventstore.KindInvalid, "query", "more than one of the tables has this column; write table.column")
	ErrFunction     = eventstore.Refuse(eventstore.KindInvalid, "query", "there is no such function here, or it does not take these arguments")
	ErrAggregate    = eventstore.Refuse(eventstore.KindInvalid, "query", "an aggregate or window function cannot stand here; use HAVING, or a subquery")
	ErrComplex      = eventstore.Refuse(eventstore.KindInvalid, "query", "the query is too large or too deeply nested")
	ErrLongValue    = eventstore.Refuse(eventstore.KindInvalid, "query", "a value or an intermediate row is longer than 65536 bytes")
	ErrOverflow     = eventstore.Refuse(eventstore.KindInvalid, "query", "a sum is larger than an integer can be")
	ErrUnfit        = eventstore.Refuse(eventstore.KindInvalid, "query", "the query cannot be run as it stands")

	ErrTime   = eventstore.Refuse(eventstore.KindInvalid, "query", "the query took too long and was stopped; narrow it with WHERE, and join on equal columns")
	ErrMemory = eventstore.Refuse(eventstore.KindInvalid, "query", "the query needed too much memory and was stopped; narrow it with WHERE, and join on equal columns")
	ErrRows   = eventstore.Refuse(eventstore.KindInvalid, "query", "the answer would be too large; use LIMIT, or sum up in the query")
	// ErrFigures: the figures themselves are too many for a database in memory.
	ErrFigures = eventstore.Refuse(eventstore.KindInvalid, "", "there are more figures than SQL can be asked of; GET /v1/stats has them all")
	ErrBusy    = eventstore.Refuse(eventstore.KindRate, "", "too many queries are waiting; try again")
)

// messages are beginnings and parts of SQLite's messages, and what they mean.
var messages = []struct {
	part string
	err  *eventstore.Problem
}{
	{"syntax error", ErrSyntax}, {"incomplete input", ErrSyntax}, {"unrecognized token", ErrSyntax},
	{"no such table", ErrNoTable}, {"no such column", ErrNoColumn}, {"ambiguous column name", ErrAmbiguous},
	{"no such function", ErrFunction}, {"not authorized to use function", ErrFunction}, {"wrong number of arguments", ErrFunction},
	{"misuse of aggregate", ErrAggregate}, {"misuse of window function", ErrAggregate}, {"aggregate functions are not allowed", ErrAggregate},
	{"too many", ErrComplex}, {"too large", ErrComplex}, {"stack overflow", ErrComplex}, {"parser", ErrComplex}, {"at most", ErrComplex},
	{"integer overflow", ErrOverflow}, {"variable number", ErrPlaceholder},
}

// problem turns SQLite's error into one of this package.
func problem(code int32, message, query string, offset int32) error {
	return at(classify(code, message), query, offset)
}

func classify(code int32, message string) *eventstore.Problem {
	switch code & 0xff {
	case sqlite3.SQLITE_NOMEM:
		return ErrMemory
	case sqlite3.SQLITE_INTERRUPT:
		return ErrTime
	case sqlite3.SQLITE_TOOBIG:
		return ErrLongValue
	case sqlite3.SQLITE_READONLY:
		return ErrOnlyRead
	}
	for _, m := range messages {
		if strings.Contains(message, m.part) {
			return m.err
		}
	}
	if code&0xff == sqlite3.SQLITE_AUTH || strings.Contains(message, "prohibited") || strings.Contains(message, "not authorized") {
		return ErrOnlyRead
	}
	return ErrUnfit
}

// at adds the line and the column, both from 1, of a byte of the query; a negative offset adds nothing.
func at(p *eventstore.Problem, query string, offset int32) error {
	if offset < 0 || int(offset) > len(query) {
		return p
	}
	before := query[:offset]
	line := before[strings.LastIndexByte(before, '\n')+1:]
	return p.AtLine(strings.Count(before, "\n") + 1).AtColumn(utf8.RuneCountInString(line) + 1)
}
