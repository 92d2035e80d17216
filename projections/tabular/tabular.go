// Package tabular is a table of figures and the forms in which it leaves: JSON, CSV and Parquet. It does no I/O of its own.
//
// A table has named, typed columns, rows, and [Remark]s: what must be known to read the rows (their parameters, what is hidden and why). Every form
// carries all of it:
//
//   - JSON has the columns, the rows and whatever members its document has beside them;
//   - CSV (RFC 4180, UTF-8, a header line) has room for the rows only. Its remarks go beside it: over HTTP into headers;
//   - Parquet has the remarks as key-value metadata of the file, and the columns with types, units and meanings as JSON under [MetadataColumns].
//
// # Values
//
// A value is a string, an int64, a uint64 up to the largest int64, a float64, or nil: not published, or not there. A date is a string 2006-01-02.
//
// # Spreadsheets
//
// A spreadsheet takes a text that begins with = + - @, a tab or a line break for a formula, and names of intents and the like come from outside. In CSV
// such a text (also the name of a column) has an apostrophe before it. Numbers are left alone. The other forms give every text as it is.
package tabular

import (
	"bufio"
	"encoding/json"
	"io"
)

// Type is the type of a column.
type Type string

// The types of columns.
const (
	String  Type = "string"
	Integer Type = "integer"
	Number  Type = "number"
	Date    Type = "date"
)

// Column is one column of a table.
type Column struct {
	Name string `json:"name"`
	Type Type   `json:"type"`
	// Unit is what a number counts (persons, messages, seconds); empty for texts.
	Unit    string `json:"unit,omitempty"`
	Meaning string `json:"meaning,omitempty"`
	// Group is the histogram or distribution of which the column is one counter; empty for any other.
	Group string `json:"group,omitempty"`
	// MeaningFR is Meaning in French.
	MeaningFR string `json:"meaning_fr,omitempty"`
}

// Remark is one thing that must be known to read a table.
type Remark struct{ Name, Text string }

// Table is a table with its remarks. Each row is as long as Columns.
type Table struct {
	Name    string
	Columns []Column
	Rows    [][]any
	Remarks []Remark
}

// WriteJSON writes a document: the members of head, which must encode as a JSON object, then rows, one on a line. It streams; head has no member rows.
func WriteJSON(w io.Writer, head any, rows [][]any) error {
	b, err := json.Marshal(head)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	out.Write(b[:len(b)-1])
	if len(b) > 2 {
		out.WriteByte(',')
	}
	out.WriteString(`"rows":[`)
	for i, row := range rows {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteByte('\n')
		b, err := json.Marshal(row)
		if err != nil {
			return err
		}
		if _, err := out.Write(b); err != nil {
			return err
		}
	}
	out.WriteString("]}\n")
	return out.Flush()
}
