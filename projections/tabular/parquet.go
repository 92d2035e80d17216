package tabular

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
)

// MetadataColumns is the key under which a Parquet file has its columns, as JSON.
const MetadataColumns = "oubli.columns"

// Bounds of a Parquet file in the making: rows of one group are in memory until it is written.
const (
	rowsPerGroup = 50_000
	rowsPerWrite = 512
)

// WriteParquet writes a table as a Parquet file (Snappy). Strings are UTF8, integers INT64, numbers DOUBLE, dates DATE; every column is optional. Of columns
// with one name the later ones get a number, as a Parquet file has each name once.
func WriteParquet(w io.Writer, t Table) error {
	if len(t.Columns) == 0 {
		return fmt.Errorf("tabular: a table without columns cannot be a Parquet file")
	}
	columns, err := json.Marshal(t.Columns)
	if err != nil {
		return err
	}
	options := []parquet.WriterOption{schema(t), parquet.Compression(&parquet.Snappy), parquet.MaxRowsPerRowGroup(rowsPerGroup),
		parquet.CreatedBy("oubli", "", ""), parquet.KeyValueMetadata(MetadataColumns, string(columns))}
	for _, r := range gathered(t.Remarks) {
		options = append(options, parquet.KeyValueMetadata("oubli."+r.Name, r.Text))
	}
	out := parquet.NewGenericWriter[any](w, options...)
	rows := make([]parquet.Row, 0, rowsPerWrite)
	for i, row := range t.Rows {
		made, err := parquetRow(t.Columns, row)
		if err != nil {
			return err
		}
		if rows = append(rows, made); len(rows) == rowsPerWrite || i == len(t.Rows)-1 {
			if _, err := out.WriteRows(rows); err != nil {
				return err
			}
			rows = rows[:0]
		}
	}
	return out.Close()
}

// gathered joins remarks of one name into one, a line each.
func gathered(remarks []Remark) (out []Remark) {
	at := map[string]int{}
	for _, r := range remarks {
		if i, ok := at[r.Name]; ok {
			out[i].Text += "\n" + r.Text
			continue
		}
		at[r.Name] = len(out)
		out = append(out, r)
	}
	return out
}

func schema(t Table) *parquet.Schema {
	g := ordered{Group: parquet.Group{}}
	for _, c := range t.Columns {
		name := c.Name
		for n := 2; g.Group[name] != nil; n++ {
			name = fmt.Sprintf("%s_%d", c.Name, n)
		}
		g.Group[name] = parquet.Optional(node(c.Type))
		g.names = append(g.names, name)
	}
	return parquet.NewSchema(t.Name, g)
}

func node(t Type) parquet.Node {
	switch t {
	case Integer:
		return parquet.Int(64)
	case Number:
		return parquet.Leaf(parquet.DoubleType)
	case Date:
		return parquet.Date()
	default:
		return parquet.String()
	}
}

// ordered is a group whose fields stand in the order of the columns; the library's own sorts them by name.
type ordered struct {
	parquet.Group
	names []string
}

// Fields implements [parquet.Node].
func (g ordered) Fields() []parquet.Field {
	byName := map[string]parquet.Field{}
	for _, f := range g.Group.Fields() {
		byName[f.Name()] = f
	}
	out := make([]parquet.Field, len(g.names))
	for i, name := range g.names {
		out[i] = byName[name]
	}
	return out
}

// GoType implements [parquet.Node]. Rows are written as rows, never as values of it.
func (g ordered) GoType() reflect.Type { return reflect.TypeFor[map[string]any]() }

func parquetRow(columns []Column, row []any) (parquet.Row, error) {
	out := make(parquet.Row, len(columns))
	for i, c := range columns {
		v, err := parquetValue(c.Type, row[i])
		if err != nil {
			return nil, fmt.Errorf("tabular: column %d: %w", i+1, err)
		}
		defined := 1
		if v.IsNull() {
			defined = 0
		}
		out[i] = v.Level(0, defined, i)
	}
	return out, nil
}

func parquetValue(t Type, v any) (parquet.Value, error) {
	switch v := v.(type) {
	case nil:
		return parquet.NullValue(), nil
	case string:
		if t == Date {
			day, err := time.Parse(time.DateOnly, v)
			return parquet.Int32Value(int32(day.Unix() / (24 * 60 * 60))), err
		}
		if t == String {
			return parquet.ByteArrayValue([]byte(strings.ToValidUTF8(v, "\uFFFD"))), nil
		}
	case int64:
		return parquetNumber(t, v, float64(v))
	case uint64:
		if v <= math.MaxInt64 {
			return parquetNumber(t, int64(v), float64(v))
		}
	case float64:
		if t == Number {
			return parquet.DoubleValue(v), nil
		}
	}
	return parquet.Value{}, fmt.Errorf("a value does not have the type of its column, %s", t)
}

func parquetNumber(t Type, n int64, f float64) (parquet.Value, error) {
	switch t {
	case Integer:
		return parquet.Int64Value(n), nil
	case Number:
		return parquet.DoubleValue(f), nil
	}
	return parquet.Value{}, fmt.Errorf("a number does not have the type of its column, %s", t)
}
