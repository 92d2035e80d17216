package tabular

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"pgregory.net/rapid"
)

var columns = []Column{
	{Name: "period", Type: String, Meaning: "the day"}, {Name: "intent", Type: String}, {Name: "persons", Type: Integer, Unit: "persons"},
	{Name: "share", Type: Number}, {Name: "starts", Type: Date},
}

// tables are random tables with these columns.
func tables(t *rapid.T) Table {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"=1+1", "+33", "-1", "@x", "\tx", "\rx", "＝1", "", "é", "日本"}))
	out := Table{Name: "intents", Columns: columns, Remarks: []Remark{{"k", "10"}, {"note", "one"}, {"note", "two"}}}
	for range rapid.IntRange(0, 700).Draw(t, "rows") {
		row := []any{text.Draw(t, "period"), text.Draw(t, "intent"), rapid.Uint64Max(math.MaxInt64).Draw(t, "persons"),
			rapid.Float64().Draw(t, "share"), "2026-11-22"}
		if rapid.Bool().Draw(t, "null") {
			row[rapid.IntRange(1, 4).Draw(t, "which")] = nil
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

func TestParquet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := tables(t)
		var b bytes.Buffer
		if err := WriteParquet(&b, table); err != nil {
			t.Fatal(err)
		}
		f, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		for i, field := range f.Schema().Fields() {
			if field.Name() != columns[i].Name {
				t.Fatalf("column %d is %s", i, field.Name())
			}
		}
		if note, _ := f.Lookup("oubli.note"); note != "one\ntwo" {
			t.Fatalf("note %q", note)
		}
		raw, _ := f.Lookup(MetadataColumns)
		var told []Column
		if err := json.Unmarshal([]byte(raw), &told); err != nil || !reflect.DeepEqual(told, columns) {
			t.Fatalf("columns %s", raw)
		}
		if got := readParquet(t, f); !reflect.DeepEqual(got, table.Rows) {
			t.Fatalf("rows %v, want %v", got, table.Rows)
		}
	})
}

// readParquet reads rows as they were given. Every DATE must be that of the tables above.
func readParquet(t *rapid.T, f *parquet.File) (out [][]any) {
	for _, group := range f.RowGroups() {
		rows := group.Rows()
		buf := make([]parquet.Row, 100)
		for {
			n, err := rows.ReadRows(buf)
			for _, r := range buf[:n] {
				row := make([]any, len(columns))
				for i, v := range r {
					if v.IsNull() {
						continue
					}
					switch columns[i].Type {
					case String:
						row[i] = string(v.ByteArray())
					case Integer:
						row[i] = uint64(v.Int64())
					case Number:
						row[i] = v.Double()
					case Date:
						if v.Int32() != 20779 {
							t.Fatalf("day %d", v.Int32())
						}
						row[i] = "2026-11-22"
					}
				}
				out = append(out, row)
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestCSV(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := tables(t)
		var b bytes.Buffer
		if err := WriteCSV(&b, table); err != nil {
			t.Fatal(err)
		}
		read := csv.NewReader(strings.NewReader(strings.ReplaceAll(b.String(), "\r\n", "\n")))
		records, err := read.ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if len(records) != len(table.Rows)+1 {
			t.Fatalf("%d lines for %d rows", len(records), len(table.Rows))
		}
		for i, row := range table.Rows {
			for j, v := range row {
				got := records[i+1][j]
				if text, ok := v.(string); ok && strings.ContainsAny(got[:min(len(got), 1)], "=+-@\t\r\n") {
					t.Fatalf("%q of %q is a formula", got, text)
				}
				want := ""
				switch v := v.(type) {
				case string:
					want = strings.ReplaceAll(v, "\r\n", "\n")
					got = strings.TrimPrefix(got, "'")
					want = strings.TrimPrefix(want, "'")
				case nil:
				default:
					want = fmt.Sprint(v)
				}
				if got != want {
					t.Fatalf("%q, want %q", got, want)
				}
			}
		}
	})
}

func TestJSON(t *testing.T) {
	for _, rows := range [][][]any{nil, {{"a", uint64(1), nil, 0.5, "2026-11-22"}}, {{"a"}, {"<b>"}}} {
		var b bytes.Buffer
		if err := WriteJSON(&b, map[string]any{"k": 10}, rows); err != nil {
			t.Fatal(err)
		}
		var doc struct {
			K    int
			Rows [][]any
		}
		if err := json.Unmarshal(b.Bytes(), &doc); err != nil || doc.K != 10 || doc.Rows == nil || len(doc.Rows) != len(rows) {
			t.Fatalf("%s: %v", b.Bytes(), err)
		}
		b.Reset()
		if err := WriteJSON(&b, struct{}{}, rows); err != nil || !json.Valid(b.Bytes()) {
			t.Fatalf("%s: %v", b.Bytes(), err)
		}
	}
}

func TestWrongType(t *testing.T) {
	for _, v := range []any{"x", true, 0.5, uint64(math.MaxUint64)} {
		if err := WriteParquet(io.Discard, Table{Name: "x", Columns: []Column{{Name: "n", Type: Integer}}, Rows: [][]any{{v}}}); err == nil {
			t.Errorf("%v is an integer", v)
		}
	}
	if err := WriteParquet(io.Discard, Table{Name: "x"}); err == nil {
		t.Error("a file without columns")
	}
	twice := Table{Name: "x", Columns: []Column{{Name: "n", Type: Integer}, {Name: "n", Type: Integer}, {Name: "n_2", Type: Integer}}, Rows: [][]any{{int64(1), int64(2), int64(3)}}}
	if err := WriteParquet(io.Discard, twice); err != nil {
		t.Error(err)
	}
}
