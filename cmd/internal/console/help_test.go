package console

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// onlyEnglish reports whether a phrase belongs to a command that exists in English only.
func onlyEnglish(key string) bool {
	for _, prefix := range []string{"cmd_", "more_", "example_"} {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			command, _, _ := strings.Cut(rest, "_")
			return rest != "" && !slices.Contains(inFrench, command) && rest != "help" && rest != "head"
		}
	}
	return false
}

func TestBothLanguagesAreComplete(t *testing.T) {
	verbs := regexp.MustCompile(`%[a-z]`)
	for key, p := range catalogue {
		if p.en == "" {
			t.Errorf("%s: no English", key)
		}
		if p.fr == "" && !onlyEnglish(key) {
			t.Errorf("%s: no French", key)
		}
		if p.fr != "" && strings.Join(verbs.FindAllString(p.en, -1), "") != strings.Join(verbs.FindAllString(p.fr, -1), "") {
			t.Errorf("%s: the languages have different verbs", key)
		}
	}
}

func TestEveryCommandHasHelpAndAnExample(t *testing.T) {
	parser, err := (&env{lang: english}).parser(new(commands))
	if err != nil {
		t.Fatal(err)
	}
	err = kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if n, ok := node.(*kong.Node); ok && n.Type == kong.CommandNode {
			if n.Help == "" || catalogue["example"+key(n)].en == "" {
				t.Errorf("%s: no help or no example", commandPath(n))
			}
			for _, f := range n.Flags {
				if f.Help == "" {
					t.Errorf("%s --%s: no help", commandPath(n), f.Name)
				}
			}
			for _, p := range n.Positional {
				if p.Help == "" {
					t.Errorf("%s %s: no help", commandPath(n), p.Name)
				}
			}
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestHelpOfPersonIsFrench(t *testing.T) {
	newFake(t)
	t.Setenv("OUBLI_LANG", "fr")
	for _, command := range []string{"person", "person erase", "person show", "person transcript", "person export", "erasure", "erasure list", "erasure show"} {
		code, out, _ := run(t, "", append(strings.Fields(command), "--help")...)
		if code != Done {
			t.Errorf("%s: exit code %d", command, code)
		}
		want(t, command, out, "Utilisation :", "Exemple :")
		never(t, command, out, "Usage:", "Example:", "Options:", "Address of the server", "Handle of")
	}
	_, out, _ := run(t, "", "serve", "--help")
	want(t, "serve", out, "Usage:")
	code, _, err := run(t, "", "person", "show", "--identity", "email:bob@example.com")
	if code != NotFound {
		t.Error(code)
	}
	want(t, "the error", err, "personne n'est connu")
	_, _, err = run(t, "", "person", "show", "--person", restrict)
	want(t, "the error", err, "limitation")
}

func TestConfig(t *testing.T) {
	newFake(t)
	file := filepath.Join(t.TempDir(), "oubli.conf")
	os.WriteFile(file, []byte("data = /from/file\nlisten = 127.0.0.1:1\n"), 0o600)
	t.Setenv("OUBLI_CONFIG", file)
	t.Setenv("OUBLI_LISTEN", "127.0.0.1:2")
	t.Setenv("OUBLI_NATS", "nats://user:hidden@example.com:4222")
	code, out, err := run(t, "", "--tenant", "flagged", "config", "--kek", "file:///tmp/kek")
	if code != Done {
		t.Fatal(code, err)
	}
	never(t, "config", out, "good", "hidden", "127.0.0.1:1 ", "checkpoint")
	for _, line := range []string{`token +\[redacted\] +environment`, `data +/from/file +file`, `roots +/from/file/roots +default`, `listen +127.0.0.1:2 +environment`,
		`kek +file:///tmp/kek +flag`, `tenant +flagged +flag`, `server +http://127\S+ +environment`, `config +\S+ +environment`, `log-level +info +default`} {
		if !regexp.MustCompile(line).MatchString(out) {
			t.Errorf("config does not show %s:\n%s", line, out)
		}
	}
	_, out, _ = run(t, "", "config", "--json")
	if !json.Valid([]byte(out)) {
		t.Errorf("as JSON: %s", out)
	}
	os.WriteFile(file, []byte("secret-nonsense = 1"), 0o600)
	code, _, err = run(t, "", "config")
	if code != Usage || strings.Contains(err, "nonsense") {
		t.Errorf("a broken file: exit code %d, %s", code, err)
	}
}

func TestTokenIsTakenFromTheClosestPlace(t *testing.T) {
	newFake(t)
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, adminToken), []byte("good\n"), 0o600)
	os.WriteFile(filepath.Join(dir, "bad"), []byte("bad\n"), 0o600)
	show := []string{"person", "show", "--person", alice}
	unset(t, "OUBLI_TOKEN")
	if code, _, err := run(t, "", append(show, "--data", dir)...); code != Done {
		t.Errorf("admin.token: exit code %d, %s", code, err)
	}
	if code, _, _ := run(t, "", append(show, "--data", t.TempDir())...); code != Refused {
		t.Errorf("no token at all: exit code %d", code)
	}
	t.Setenv("OUBLI_TOKEN", "good")
	if code, _, _ := run(t, "", append(show, "--token-file", filepath.Join(dir, "bad"))...); code != Refused {
		t.Errorf("the flag --token-file does not come before OUBLI_TOKEN: exit code %d", code)
	}
}
