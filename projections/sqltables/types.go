package sqltables

import (
	"math"
	"strconv"

	"github.com/oubli-store/oubli/projections/tabular"
)

// settle gives every column of an answer the type that its values have together: integer, number if some are not whole, string if some are texts. A value that is
// not of that type becomes it. A column without values is one of strings.
func settle(t *tabular.Table) {
	for i := range t.Columns {
		var c census
		for _, row := range t.Rows {
			c.see(row[i])
		}
		t.Columns[i].Type = c.kind()
		if !c.mixed() {
			continue
		}
		for _, row := range t.Rows {
			row[i] = as(t.Columns[i].Type, row[i])
		}
	}
}

// census counts which types a column has.
type census struct{ integers, numbers, texts bool }

func (c *census) see(v any) {
	switch v.(type) {
	case int64:
		c.integers = true
	case float64:
		c.numbers = true
	case string:
		c.texts = true
	}
}

func (c *census) kind() tabular.Type {
	switch {
	case c.texts || !c.integers && !c.numbers:
		return tabular.String
	case c.numbers:
		return tabular.Number
	}
	return tabular.Integer
}

func (c *census) mixed() bool { return c.texts && (c.integers || c.numbers) || c.integers && c.numbers }

func as(t tabular.Type, v any) any {
	switch v := v.(type) {
	case int64:
		if t == tabular.Number {
			return float64(v)
		}
		return strconv.FormatInt(v, 10)
	case float64:
		if t == tabular.String {
			return strconv.FormatFloat(v, 'g', -1, 64)
		}
	}
	return v
}

// finite leaves out what no form of an answer can hold.
func finite(f float64) any {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return nil
	}
	return f
}
