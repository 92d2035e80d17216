package docs

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/oubli-store/oubli"

// layers lists the rooms from top to bottom. An import goes from a room to itself, or to one of a layer further down; rooms of one layer never
// import each other.
var layers = [][]string{
	{"cmd", "bench"},
	{"keyvault", "streams", "projections",
		"eventstore/rights", "eventstore/ledger", "eventstore/importer", "eventstore/door", "eventstore/client", "eventstore/sample"},
	{"eventstore"},
	{"eventstore/envelope"},
}

// anyone may be imported from everywhere; testOnly from test files and from each other.
var (
	anyone   = []string{"keyvault/secret"}
	testOnly = []string{"streams/natsembed/natscluster", "eventstore/keystest", "eventstore/logtest", "eventstore/storetest", "eventstore/importer/importertest", "keyvault/kms/kmstest"}
	// testData may be imported by any test.
	testData = []string{"bench/corpora"}
)

// owners says which rooms may import a big dependency (bench: as a peer to measure against).
var owners = map[string][]string{
	"github.com/nats-io/nats-server/":  {"streams/natsembed", "bench"},
	"github.com/nats-io/nats.go":       {"streams", "cmd/internal/server", "bench"},
	"github.com/tink-crypto/":          {"keyvault", "eventstore/ledger"},
	"github.com/cockroachdb/pebble/":   {"keyvault", "streams", "projections", "bench"},
	"github.com/oklog/ulid/":           {"eventstore"},
	"filippo.io/age":                   {"cmd/internal/backup"},
	"github.com/hashicorp/vault/":      {"keyvault/kms/hcvault"},
	"github.com/hashicorp/golang-lru/": {"eventstore/door"},
	"github.com/parquet-go/":           {"projections/tabular"},
	"modernc.org/":                     {"projections/sqltables"},
	"github.com/aws/":                  {"keyvault/kms/awskms"},
	module + "/keyvault/kms":           {"keyvault/kms", "cmd"},
}

func within(pkg, room string) bool { return pkg == room || strings.HasPrefix(pkg, room+"/") }

func withinAny(pkg string, rooms []string) bool {
	return slices.ContainsFunc(rooms, func(room string) bool { return within(pkg, room) })
}

// roomOf finds the most specific room that a package belongs to, and its layer.
func roomOf(pkg string) (room string, layer int) {
	for l, rooms := range layers {
		for _, r := range rooms {
			if within(pkg, r) && len(r) > len(room) {
				room, layer = r, l
			}
		}
	}
	return room, layer
}

// mayImport reports whether a file of package from (a path below the module) may import what.
func mayImport(from, what string, test bool) bool {
	for prefix, rooms := range owners {
		// Tests may start or look into what their room talks to through another.
		if strings.HasPrefix(what, prefix) && !test && !withinAny(from, rooms) {
			return false
		}
	}
	to, inside := strings.CutPrefix(what, module+"/")
	if !inside || withinAny(to, anyone) {
		return true
	}
	if test && withinAny(to, testData) {
		return true
	}
	if withinAny(to, testOnly) {
		return test || withinAny(from, testOnly)
	}
	fromRoom, fromLayer := roomOf(from)
	toRoom, toLayer := roomOf(to)
	if withinAny(from, testOnly) && toLayer >= 2 {
		return true
	}
	return fromRoom != "" && toRoom != "" && (fromRoom == toRoom || fromLayer < toLayer)
}

// violations lists the imports below root that break the rule, as "package -> import".
func violations(t *testing.T, root string) []string {
	t.Helper()
	var bad []string
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && file != root) {
			return filepath.SkipDir
		}
		if d.IsDir() || path.Ext(file) != ".go" {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		from := filepath.ToSlash(dir)
		for _, spec := range parsed.Imports {
			what, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if !mayImport(from, what, strings.HasSuffix(file, "_test.go")) {
				bad = append(bad, from+" -> "+what)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(bad)
	return slices.Compact(bad)
}

// TestImportRule: imports point one way only.
func TestImportRule(t *testing.T) {
	for _, v := range violations(t, "..") {
		if strings.HasPrefix(v, "docs -> ") {
			continue
		}
		t.Errorf("%s breaks the import rule of docs/how-it-works.md", v)
	}
}

// TestImportRuleFindsViolations: the rule above would notice each kind of violation.
func TestImportRuleFindsViolations(t *testing.T) {
	want := []string{
		"bench -> " + module + "/cmd/internal/api",
		"eventstore -> " + module + "/eventstore/door",
		"eventstore -> " + module + "/eventstore/keystest",
		"eventstore/door -> " + module + "/eventstore/rights",
		"eventstore/envelope -> " + module + "/eventstore",
		"keyvault -> " + module + "/streams",
		"projections -> github.com/nats-io/nats.go",
		"streams -> github.com/tink-crypto/tink-go/v2/aead/subtle",
	}
	got := violations(t, filepath.Join("testdata", "imports"))
	if !slices.Equal(got, want) {
		t.Errorf("the fixture's violations:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
