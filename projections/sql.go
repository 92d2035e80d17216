package projections

import (
	"context"
	"fmt"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/sqltables"
	"github.com/oubli-store/oubli/projections/tabular"
)

// Result is the answer to a query in SQL.
type Result struct {
	Parameters
	Columns []Column `json:"columns"`
	Rows    [][]any  `json:"rows"`
	Notes   []string `json:"notes"`
}

// Table is the answer as a table with its remarks.
func (r Result) Table() tabular.Table {
	t := tabular.Table{Name: "answer", Columns: r.Columns, Rows: r.Rows, Remarks: r.Parameters.Remarks()}
	for _, n := range r.Notes {
		t.Remarks = append(t.Remarks, tabular.Remark{Name: "note", Text: n})
	}
	return t
}

// SQL answers a query over the tenant's published figures: for each projection NAME (its days that are closed), NAME_week, NAME_month, and the same with
// _provisional behind it for the periods that are open; and the table dictionary. Errors are those of package sqltables, and those of [Projections.Stats].
//
// The tables are made when they are first asked, and again when a release came, or the settings changed; those of open periods once a minute.
func (p *Projections) SQL(ctx context.Context, id eventstore.TenantID, query string) (Result, error) {
	var used usable
	answer, err := p.engine.Query(ctx, id, func(ctx context.Context) ([]*sqltables.Image, error) {
		var err error
		used, err = p.images.of(ctx, p, id)
		return used.images, err
	}, query)
	if err != nil {
		return Result{}, err
	}
	out := Result{Parameters: used.parameters, Columns: answer.Columns, Rows: answer.Rows, Notes: []string{
		fmt.Sprintf("fewer than %d persons: hidden; tables NAME_provisional hold counts rounded down to multiples of %d", used.parameters.K, used.parameters.K)}}
	if used.empty {
		out.Notes = append(out.Notes, "no period is closed yet: only the tables NAME_provisional have rows")
	}
	return out, nil
}
