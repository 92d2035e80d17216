package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	promiseHeading = regexp.MustCompile(`^## ([0-9]+)\. `)
	testReference  = regexp.MustCompile("`([a-z/]+)\\.(Test[A-Za-z0-9_]+|Fuzz[A-Za-z0-9_]+)`")
)

// TestPromisesHaveTests: promises.md holds the six promises, and every test that it names exists.
func TestPromisesHaveTests(t *testing.T) {
	text, err := os.ReadFile("promises.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := missingTests(t, string(text), "..")
	for promise := 1; promise <= 6; promise++ {
		if shown[promise] == 0 {
			t.Errorf("promise %d names no test", promise)
		}
	}
}

// TestPromisesCheckFindsMissingTests: the check above would notice a test that is gone.
func TestPromisesCheckFindsMissingTests(t *testing.T) {
	if testExists(t, "..", "docs", "TestThatIsNotThere") {
		t.Error("a test that does not exist was found")
	}
	if !testExists(t, "..", "docs", "TestPromisesHaveTests") {
		t.Error("a test that exists was not found")
	}
}

// missingTests reports each named test that does not exist, and counts the tests named under each promise.
func missingTests(t *testing.T, text, root string) map[int]int {
	t.Helper()
	promise, shown := 0, map[int]int{}
	for line := range strings.Lines(text) {
		if m := promiseHeading.FindStringSubmatch(line); m != nil {
			promise, _ = strconv.Atoi(m[1])
		}
		for _, m := range testReference.FindAllStringSubmatch(line, -1) {
			shown[promise]++
			if !testExists(t, root, m[1], m[2]) {
				t.Errorf("promise %d: there is no %s in %s", promise, m[2], m[1])
			}
		}
	}
	return shown
}

func testExists(t *testing.T, root, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}
