package sqltables

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/tabular"
)

const acme eventstore.TenantID = "acme"

func table(name string, rows ...[]any) Source {
	return Source{Name: name, Columns: []tabular.Column{
		{Name: "period", Type: tabular.String}, {Name: "intent", Type: tabular.String}, {Name: "persons", Type: tabular.Integer}, {Name: "uses", Type: tabular.Integer}},
		Rows: func(yield func([]any, error) bool) {
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
		}}
}

func build(t testing.TB, sources ...Source) *Image {
	t.Helper()
	image, err := Build(context.Background(), 1<<20, sources...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(image.Release)
	return image
}

// images has two days of figures that are released and one that is not.
func images(t testing.TB) func(context.Context) ([]*Image, error) {
	released := build(t, table("intents",
		[]any{"2026-11-20", "order", uint64(12), uint64(30)}, []any{"2026-11-20", "été 日本", uint64(10), nil},
		[]any{"2026-11-21", "order", uint64(11), uint64(21)}))
	provisional := build(t, table("intents_provisional", []any{"2026-11-22", "order", uint64(10), uint64(20)}))
	return func(context.Context) ([]*Image, error) { return []*Image{released.Hold(), provisional.Hold()}, nil }
}

// small are limits that a test meets soon.
var small = Limits{Time: 100 * time.Millisecond, Rows: 1000, Bytes: 1 << 20, Memory: 32 << 20, Running: 2, Waiting: 4}

func TestQuery(t *testing.T) {
	e, from := New(Limits{}), images(t)
	for query, want := range map[string][][]any{
		"SELECT intent, sum(uses) FROM intents GROUP BY 1 ORDER BY 2 DESC":                             {{"order", int64(51)}, {"été 日本", nil}},
		"select count(*) from intents":                                                                 {{int64(3)}},
		"SELECT count(*) FROM intents_provisional;":                                                    {{int64(1)}},
		"SELECT count(*) FROM provisional.intents_provisional -- a remark":                             {{int64(1)}},
		"WITH x AS (SELECT * FROM intents) SELECT count(*) FROM x":                                     {{int64(3)}},
		"WITH x AS (SELECT 1 AS a UNION ALL SELECT 2) SELECT count(*), sum(x.a) FROM x, x AS y":        {{int64(4), int64(6)}},
		"SELECT uses FROM intents UNION ALL SELECT uses FROM intents_provisional ORDER BY 1":           {{nil}, {int64(20)}, {int64(21)}, {int64(30)}},
		"VALUES (1, 2.5, 'x', NULL)":                                                                   {{int64(1), 2.5, "x", nil}},
		"SELECT 1 UNION ALL SELECT 2.5":                                                                {{1.0}, {2.5}},
		"SELECT 1 UNION ALL SELECT 'x'":                                                                {{"1"}, {"x"}},
		"SELECT 1e999, -1e999":                                                                         {{nil, nil}},
		"SELECT strftime('%Y-%m', period), rank() OVER (ORDER BY uses) FROM intents WHERE uses>25":     {{"2026-11", int64(1)}},
		"SELECT substr(intent, 1, 3) FROM intents WHERE intent LIKE '%日本'":                             {{"été"}},
		"SELECT name FROM sqlite_schema":                                                               {{"intents"}},
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<5) SELECT sum(i) FROM n": {{int64(15)}},
		"SELECT * FROM intents WHERE intent='nobody says this'":                                        nil,
	} {
		got, err := e.Query(context.Background(), acme, from, query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		if !reflect.DeepEqual(got.Rows, want) {
			t.Errorf("%s: %v, want %v", query, got.Rows, want)
		}
		for _, row := range got.Rows {
			if len(row) != len(got.Columns) {
				t.Errorf("%s: a row is not as wide as the table", query)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	e, from := New(small), images(t)
	const canary = "canary_7731"
	for query, want := range map[string]struct {
		err          error
		line, column int
	}{
		"":                                   {ErrEmpty, 0, 0},
		" \n ":                               {ErrEmpty, 0, 0},
		";":                                  {ErrEmpty, 0, 0},
		"-- nothing":                         {ErrEmpty, 0, 0},
		"SELEC 1":                            {ErrSyntax, 1, 1},
		"SELECT 1,\n  'é' " + canary + " 2":  {ErrSyntax, 2, 19},
		"SELECT":                             {ErrSyntax, 0, 0},
		"SELECT '" + canary:                  {ErrSyntax, 1, 8},
		"SELECT * FROM " + canary:            {ErrNoTable, 0, 0},
		"SELECT " + canary + " FROM intents": {ErrNoColumn, 1, 8},
		"SELECT * FROM intents WHERE intent = \"order\"": {ErrNoColumn, 1, 38},
		"SELECT " + canary + "(1)":                       {ErrFunction, 1, 8},
		"SELECT intent FROM intents a, intents b":        {ErrAmbiguous, 1, 8},
		"SELECT abs(1, 2)":                               {ErrFunction, 1, 8},
		"SELECT intent FROM intents WHERE sum(uses) > 1": {ErrAggregate, 1, 34},
		"SELECT 1; SELECT 2":                             {ErrOneStatement, 1, 10},
		"SELECT 1; " + canary:                            {ErrOneStatement, 1, 10},
		"SELECT ?":                                       {ErrPlaceholder, 0, 0},
		"SELECT :" + canary:                              {ErrPlaceholder, 0, 0},
		"SELECT sum(x) FROM (SELECT 9223372036854775807 AS x UNION ALL SELECT 1)": {ErrOverflow, 0, 0},
		"SELECT 'a\x00b'":               {ErrText, 0, 0},
		"SELECT '\xff'":                 {ErrText, 0, 0},
		strings.Repeat("x", MaxQuery+1): {ErrLong, 0, 0},
		"SELECT 1 UNION SELECT 1, 2":    {ErrUnfit, 0, 0},
	} {
		_, err := e.Query(context.Background(), acme, from, query)
		var p *eventstore.Problem
		if !errors.As(err, &p) || !errors.Is(err, want.err) {
			t.Errorf("%.60s: %v, want %v", query, err, want.err)
			continue
		}
		if p.Line() != want.line || p.Column() != want.column {
			t.Errorf("%.60s: at %d:%d, want %d:%d", query, p.Line(), p.Column(), want.line, want.column)
		}
		if strings.Contains(err.Error(), canary) {
			t.Errorf("%q repeats what was sent", err)
		}
	}
}

// TestConfined runs what must not work. Each must be refused, and leave everything as it was.
func TestConfined(t *testing.T) {
	e, from := New(small), images(t)
	attempts := []string{
		// Writing.
		"INSERT INTO intents VALUES('x','y',1,1)", "UPDATE intents SET uses=0", "DELETE FROM intents", "DROP TABLE intents", "CREATE TABLE x(y)",
		"CREATE TEMP TABLE x AS SELECT * FROM intents", "CREATE VIEW v AS SELECT 1", "CREATE TEMP VIEW v AS SELECT 1", "CREATE INDEX i ON intents(uses)", "ALTER TABLE intents RENAME TO x",
		"REPLACE INTO intents VALUES('x','y',1,1)", "WITH x AS (SELECT 1) DELETE FROM intents", "WITH x AS (SELECT 1) INSERT INTO intents SELECT 'a','b',1,1 FROM x",
		"CREATE TRIGGER t AFTER INSERT ON intents BEGIN SELECT 1; END", "VACUUM", "VACUUM INTO '/tmp/oubli-escape.db'", "REINDEX", "ANALYZE",
		"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a", "RELEASE a",
		"DELETE FROM sqlite_schema", "UPDATE sqlite_schema SET sql='x'", "INSERT INTO intents DEFAULT VALUES RETURNING *",
		// Files and other databases.
		"ATTACH 'file:/etc/passwd' AS f", "ATTACH ':memory:' AS m", "ATTACH 'file:x?mode=memory&cache=shared' AS m", "DETACH provisional",
		"SELECT load_extension('/tmp/x.so')", "SELECT readfile('/etc/passwd')", "SELECT writefile('/tmp/x', 'y')", "SELECT edit('x')", "SELECT fts3_tokenizer('x')",
		// Settings.
		"PRAGMA query_only=0", "PRAGMA hard_heap_limit=0", "PRAGMA writable_schema=1", "PRAGMA temp_store_directory='/tmp'", "PRAGMA table_info(intents)", "PRAGMA database_list",
		"SELECT * FROM pragma_query_only", "SELECT count(*) FROM pragma_database_list", "SELECT * FROM pragma_table_info('intents')", "SELECT * FROM pragma_function_list",
		"SELECT * FROM pragma_compile_options", "SELECT count(*) FROM PRAGMA_module_list", "EXPLAIN PRAGMA query_only=0", "EXPLAIN DELETE FROM intents",
		// Virtual tables and other tables.
		"SELECT * FROM dbstat", "SELECT count(*) FROM dbstat", "SELECT * FROM sqlite_dbpage", "SELECT count(*) FROM sqlite_dbpage", "SELECT * FROM json_each('[1,2]')",
		"SELECT count(*) FROM json_tree('[1]')", "SELECT count(*) FROM generate_series(1,1000000000)", "SELECT * FROM sqlite_stmt", "SELECT * FROM bytecode('SELECT 1')",
		"CREATE VIRTUAL TABLE f USING fts5(x)", "CREATE VIRTUAL TABLE temp.r USING rtree(a,b,c)", "SELECT * FROM temp.sqlite_schema", "SELECT * FROM sqlite_temp_schema", "SELECT * FROM fts5vocab",
		// Functions beyond the list.
		"SELECT randomblob(10)", "SELECT zeroblob(1000000000)", "SELECT sqlite_version()", "SELECT sqlite_source_id()", "SELECT sqlite_compileoption_get(1)", "SELECT json('{}')",
		"SELECT changes()", "SELECT last_insert_rowid()", "SELECT sqlite_offset(uses) FROM intents", "SELECT match('a','b')", "SELECT soundex('x')", "SELECT random()", "SELECT unistr('x')",
		"SELECT geopoly_area('x')", "SELECT rtreecheck('x')", "SELECT fts5('x')", "SELECT sqlite_log(1,'x')", "SELECT hex(x) FROM (SELECT quote(1) AS x)",
		"SELECT sum(uses) FILTER (WHERE zeroblob(9)) FROM intents", "SELECT * FROM intents ORDER BY random()",
		"SELECT unknown FROM intents", "SELECT * FROM intents, dbstat", "SELECT (SELECT name FROM pragma_module_list LIMIT 1)",
		"WITH intents AS (SELECT * FROM dbstat) SELECT * FROM intents", "SELECT * FROM main.dbstat", "SELECT count(*) FROM main.sqlite_dbpage",
		"SELECT 1;DROP TABLE intents", "SELECT 1;--\nDROP TABLE intents", "/**/DROP/**/TABLE intents", "SELECT 1 INTO x",
	}
	before, err := e.Query(context.Background(), acme, from, "SELECT * FROM intents UNION ALL SELECT * FROM intents_provisional")
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range attempts {
		got, err := e.Query(context.Background(), acme, from, query)
		if err == nil {
			t.Errorf("%s: was answered with %v", query, got.Rows)
		} else if !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("%s: %v", query, err)
		}
	}
	after, err := e.Query(context.Background(), acme, from, "SELECT * FROM intents UNION ALL SELECT * FROM intents_provisional")
	if err != nil || !reflect.DeepEqual(before, after) {
		t.Fatalf("the tables changed: %v, %v", after, err)
	}
}

// TestHeavy runs what would take for ever, or all memory. Each must end soon, by an error.
func TestHeavy(t *testing.T) {
	e, from := New(small), images(t)
	many := "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<100000) "
	endless := "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) "
	nested := "WITH a0 AS (SELECT 1 AS x UNION ALL SELECT 2)"
	for i := 1; i < 40; i++ {
		nested += fmt.Sprintf(", a%d AS (SELECT l.x FROM a%d l, a%d r)", i, i-1, i-1)
	}
	for name, query := range map[string]string{
		"endless":          endless + "SELECT count(*) FROM n",
		"endless union":    "WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i+1 FROM n) SELECT count(*) FROM n",
		"cross join":       many + "SELECT count(*) FROM n a, n b, n c, n d WHERE a.i+b.i+c.i+d.i=7",
		"sort":             endless + "SELECT i FROM n ORDER BY i DESC",
		"distinct":         endless + "SELECT count(DISTINCT i) FROM n",
		"group":            endless + "SELECT i, count(*) FROM n GROUP BY i",
		"window":           endless + "SELECT sum(i) OVER (ORDER BY i ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM n",
		"texts":            endless + "SELECT printf('%.*c', 30000, 'x')||i FROM n ORDER BY 1",
		"texts kept":       "WITH RECURSIVE n(i, t) AS (SELECT 1, printf('%30000s','x') UNION SELECT i+1, printf('%30000s', i) FROM n) SELECT count(*) FROM n",
		"group_concat":     endless + "SELECT length(group_concat(i)) FROM n",
		"rows":             many + "SELECT i FROM n",
		"bytes":            many + "SELECT printf('%30000s','x') FROM n",
		"printf":           endless + "SELECT sum(length(printf('%.*c', 1000000000, 'x')||i)) FROM n",
		"format width":     endless + "SELECT sum(length(format('%1000000000d', i))) FROM n",
		"replace":          "SELECT replace(replace(replace(printf('%.*c',30000,'a'),'a',printf('%.*c',30000,'b')),'b','cc'),'c','dd')",
		"like":             endless + "SELECT count(*) FROM n WHERE printf('%.*c',30000,'a')||i LIKE '" + strings.Repeat("%a", 100) + "%b' AND i >= 0",
		"instr":            many + "SELECT sum(instr(printf('%.*c',30000,'a'), printf('%.*c',15000,'a')||'b'||i)) FROM n",
		"glob":             endless + "SELECT count(*) FROM n WHERE printf('%.*c',30000,'a')||i GLOB '" + strings.Repeat("*a", 100) + "*b'",
		"nested":           nested + " SELECT count(*) FROM a39",
		"parentheses":      "SELECT " + strings.Repeat("(", 3000) + "1" + strings.Repeat(")", 3000),
		"deep":             "SELECT 1" + strings.Repeat("+1", 20000),
		"not":              "SELECT " + strings.Repeat("NOT ", 15000) + "1",
		"unions":           "SELECT 1" + strings.Repeat(" UNION SELECT 1", 4000),
		"columns":          "SELECT 1" + strings.Repeat(",1", 5000),
		"arguments":        "SELECT max(1" + strings.Repeat(",1", 5000) + ")",
		"joins":            "SELECT count(*) FROM intents a0" + joins(70),
		"joins cross":      "SELECT count(*) FROM intents a0" + strings.Repeat(", intents", 60),
		"subqueries":       "SELECT " + strings.Repeat("(SELECT ", 2000) + "1" + strings.Repeat(")", 2000),
		"case":             "SELECT CASE" + strings.Repeat(" WHEN 1=2 THEN 1", 6000) + " END",
		"in":               endless + "SELECT 1 WHERE 5 IN (SELECT -i FROM n)",
		"exists":           endless + "SELECT 1 WHERE EXISTS (SELECT 1 FROM n WHERE i<0)",
		"limit":            endless + "SELECT i FROM n LIMIT 1 OFFSET 1000000000000",
		"limit of nothing": endless + "SELECT i FROM n WHERE i<0 LIMIT 1",
		"columns of join":  "SELECT * FROM intents a0" + strings.Repeat(", (SELECT * FROM intents)", 50),
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			got, err := e.Query(context.Background(), acme, from, query)
			var p *eventstore.Problem
			if err == nil {
				t.Errorf("was answered with %d rows", len(got.Rows))
			} else if !errors.As(err, &p) {
				t.Error(err)
			}
			if took := time.Since(begin); took > 20*time.Second { // far above the limit, for slow machines
				t.Errorf("took %v", took)
			}
		})
	}
	if _, err := e.Query(context.Background(), acme, from, "SELECT count(*) FROM intents"); err != nil {
		t.Fatalf("afterwards: %v", err)
	}
}

func joins(n int) (out string) {
	for i := 1; i < n; i++ {
		out += fmt.Sprintf(" JOIN intents a%d ON a%d.uses=a%d.uses", i, i, i-1)
	}
	return out
}

// TestMemory shows that queries leave nothing behind.
func TestMemory(t *testing.T) {
	c, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	e, before := New(small), memoryUsed(c.tls)
	func() {
		image, err := Build(context.Background(), 1<<20, table("intents", []any{"2026-11-20", "order", uint64(12), uint64(30)}))
		if err != nil {
			t.Fatal(err)
		}
		defer image.Release()
		for _, query := range []string{"SELECT * FROM intents", "SELECT nothing", "DROP TABLE intents", "SELECT 1; SELECT 2", "WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i+1 FROM n) SELECT count(*) FROM n"} {
			for range 3 {
				_, _ = e.Query(context.Background(), acme, func(context.Context) ([]*Image, error) { return []*Image{image.Hold()}, nil }, query)
			}
		}
	}()
	if after := memoryUsed(c.tls); after != before {
		t.Errorf("%d bytes are left behind", after-before)
	}
	if before < 1000 {
		t.Errorf("SQLite says that it uses %d bytes: memory is not counted", before)
	}
	if n := allowed(); n != spare {
		t.Errorf("%d bytes are still allowed", n-spare)
	}
}

// TestTogether has many tenants ask at once, each over tables of its own.
func TestTogether(t *testing.T) {
	e := New(Limits{Running: 3, Waiting: 100})
	var working sync.WaitGroup
	for i := range 8 {
		image := build(t, table("intents", []any{"2026-11-20", fmt.Sprint("of", i), uint64(12), uint64(i)}))
		from := func(context.Context) ([]*Image, error) { return []*Image{image.Hold()}, nil }
		for range 4 {
			working.Go(func() {
				for range 10 {
					got, err := e.Query(context.Background(), eventstore.TenantID(fmt.Sprint("t", i)), from, "SELECT intent, uses FROM intents")
					if err != nil || !reflect.DeepEqual(got.Rows, [][]any{{fmt.Sprint("of", i), int64(i)}}) {
						t.Errorf("tenant %d: %v %v", i, got.Rows, err)
					}
				}
			})
		}
	}
	working.Wait()
	if len(e.tenants) != 0 {
		t.Errorf("%d tenants are remembered", len(e.tenants))
	}
}

func TestQueue(t *testing.T) {
	e := New(Limits{Running: 1, Waiting: 2})
	begun, go_on := make(chan struct{}), make(chan struct{})
	image := build(t, table("intents"))
	waiting := func(context.Context) ([]*Image, error) {
		begun <- struct{}{}
		<-go_on
		return []*Image{image.Hold()}, nil
	}
	results := make(chan error, 4)
	ask := func(ctx context.Context) {
		_, err := e.Query(ctx, acme, waiting, "SELECT 1")
		results <- err
	}
	go ask(context.Background())
	<-begun
	ctx, cancel := context.WithCancel(context.Background())
	go ask(ctx)
	go ask(ctx)
	for asking := 0; asking < 3; {
		e.mu.Lock()
		asking = e.tenants[acme].asking
		e.mu.Unlock()
	}
	if _, err := e.Query(context.Background(), acme, waiting, "SELECT 1"); !errors.Is(err, ErrBusy) {
		t.Fatal(err)
	}
	cancel()
	for range 2 {
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	go_on <- struct{}{}
	if err := <-results; err != nil {
		t.Fatal(err)
	}
}

func TestBuildIsBounded(t *testing.T) {
	endless := table("intents")
	endless.Rows = func(yield func([]any, error) bool) {
		for yield([]any{"2026-11-20", "order", uint64(12), uint64(30)}, nil) {
		}
	}
	if _, err := Build(context.Background(), 1<<20, endless); !errors.Is(err, ErrFigures) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Build(ctx, 1<<20, endless); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	endless.Rows = func(yield func([]any, error) bool) { yield(nil, broken) }
	if _, err := Build(context.Background(), 1<<20, endless); !errors.Is(err, broken) {
		t.Fatal(err)
	}
}

func FuzzQuery(f *testing.F) {
	for _, s := range []string{"SELECT * FROM intents", "SELECT intent, sum(uses) FROM intents GROUP BY 1", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT * FROM n",
		"PRAGMA query_only=0", "SELECT * FROM pragma_table_info('intents')", "ATTACH 'x' AS y", "SELECT printf('%.*c', 9999999, 'x')", "SELECT \"a\"", "SELECT 1;;;", "EXPLAIN SELECT 1"} {
		f.Add(s)
	}
	e, from := New(Limits{Time: 50 * time.Millisecond, Rows: 100, Bytes: 1 << 20, Memory: 8 << 20}), images(f)
	f.Fuzz(func(t *testing.T, query string) {
		_, err := e.Query(context.Background(), acme, from, query)
		var p *eventstore.Problem
		if err != nil && !errors.As(err, &p) {
			t.Fatalf("%v", err)
		}
		got, err := e.Query(context.Background(), acme, from, "SELECT count(*), sum(uses) FROM intents")
		if err != nil || !reflect.DeepEqual(got.Rows, [][]any{{int64(3), int64(51)}}) {
			t.Fatalf("the tables changed: %v %v", got.Rows, err)
		}
	})
}
