package console

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/client"
)

type sqlCmd struct {
	Query string `arg:"" help:"One SELECT; - reads it from standard input."`
	tableFormat
}

// Run prints the answer to a query in SQL.
func (c sqlCmd) Run(e *env) error {
	if e.JSON {
		c.Format = "json"
	}
	query := c.Query
	if query == "-" {
		text, err := io.ReadAll(io.LimitReader(e.in, eventstore.MaxEvent))
		if err != nil {
			return err
		}
		query = string(text)
	}
	a, err := e.api()
	if err != nil {
		return err
	}
	err = c.print(e, a, "POST", "/v1/sql", url.Values{}, map[string]string{"query": query})
	if p, ok := errors.AsType[*client.Error](err); ok && p.Line > 0 {
		fmt.Fprint(e.err, pointed(query, p.Line, p.Column))
	}
	return err
}

// pointed shows a place in a query: its line, and below a caret under the column. The server does not repeat what it was sent; here it is known.
func pointed(query string, line, column int) string {
	lines := strings.Split(query, "\n")
	if line > len(lines) {
		return ""
	}
	text := []rune(clean(strings.ReplaceAll(lines[line-1], "\t", " "), false))
	before := string(text[:min(max(column-1, 0), len(text))])
	return "  " + string(text) + "\n  " + strings.Repeat(" ", width(before)) + "^\n"
}
