// Package sqltables answers SQL over tables of figures, in SQLite, in memory. Who asks is not trusted: a query can read the tables that it was given, and
// nothing else.
//
// # Images
//
// [Build] makes an [Image]: a whole database of tables, as SQLite would write it to a file, held in memory and never changed. Every query gets connections of its own
// over such images, opened read-only, and closed afterwards. So nothing that a query does is left for the next, and what stands in no image
// of a tenant cannot be reached by that tenant's queries, whatever they say.
//
// # What a query may do
//
// One statement that reads: SELECT, WITH or VALUES, also behind EXPLAIN. An authorizer, asked by SQLite for every table, column and function that a statement touches
// before it runs, admits reading the columns of the images' tables, and the functions in a list (arithmetic, texts, dates, aggregates, windows); it
// refuses everything else, what later versions of SQLite may add included: writing, ATTACH, PRAGMA (also as a table), virtual tables,
// load_extension, transactions. Beside it the images are read-only, nothing more can be attached, and a text in double quotes is never taken for a string.
//
// # Limits
//
// [Limits] bound the time of a query, its rows, their bytes and its memory; constants bound the length and nesting of a query and the length of a value. Time
// and memory are looked at after every 50 steps of SQLite's machine. No single step takes long, as values are short. The
// memory of all queries together is bounded in SQLite itself as well.
//
// [Limits.Running] queries run at a time, one of each tenant; [Limits.Waiting] more wait for each tenant.
//
// # Errors
//
// SQLite's messages repeat parts of the query, and so literals that an analyst may have taken from anywhere. They go nowhere: an error is one of the [eventstore.Problem]
// values of this package, with the line and the column in the query where SQLite knows them.
//
// # Why not database/sql
//
// The driver of modernc.org/sqlite has no authorizer, does not say where in a query an error is, and cannot share one image among connections. This package
// calls the C interface that the same module has, in package lib.
//
// # What is not promised
//
// SQLite is memory-unsafe code translated to Go. A query that finds a fault in it could crash the process or worse. The list of functions keeps the parts that had the
// most faults (full-text search, R-trees, JSON, virtual tables) out of reach.
package sqltables
