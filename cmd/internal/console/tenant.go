package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/oubli-store/oubli/cmd/internal/settings"
	"github.com/oubli-store/oubli/eventstore"
)

type tenantRow struct {
	Tenant  string `json:"tenant"`
	Persons uint64 `json:"persons"`
}

type tenantCreateCmd struct {
	Name string `arg:"" help:"A lower-case letter followed by at most 31 letters, digits or hyphens."`
}

// Run makes a tenant.
func (c tenantCreateCmd) Run(e *env) error {
	var made tenantRow
	if err := e.ask("POST", "/v1/tenants", map[string]string{"tenant": c.Name}, &made); err != nil {
		return err
	}
	if e.JSON {
		return e.document(made)
	}
	_, err := fmt.Fprintf(e.out, "Made tenant %s.\n", clean(made.Tenant, false))
	return err
}

type tenantListCmd struct{}

// Run lists the tenants.
func (tenantListCmd) Run(e *env) error {
	var list struct {
		Tenants []tenantRow `json:"tenants"`
	}
	if err := e.ask("GET", "/v1/tenants", nil, &list); err != nil {
		return err
	}
	t := table{head: []string{"TENANT", "PERSONS"}, right: map[int]bool{1: true}}
	for _, row := range list.Tenants {
		if e.JSON {
			if err := e.line(row); err != nil {
				return err
			}
		}
		t.add(row.Tenant, fmt.Sprint(row.Persons))
	}
	if e.JSON {
		return nil
	}
	return t.print(e.out, "")
}

type tenantShowCmd struct{}

// Run shows the settings of a tenant.
func (tenantShowCmd) Run(e *env) error {
	var s json.RawMessage
	if err := e.ask("GET", "/v1/settings", nil, &s); err != nil {
		return err
	}
	return e.settings(s)
}

type tenantSetCmd struct {
	Settings []string `arg:"" name:"key=value" help:"One or more settings, as timezone=Europe/Paris; the others stay. KEY=@FILE takes the value from a file, KEY= goes back to the default."`
}

// Run changes settings of a tenant. A value that is JSON is sent as such, anything else as a text.
func (c tenantSetCmd) Run(e *env) error {
	change := map[string]any{}
	for _, s := range c.Settings {
		key, value, ok := strings.Cut(s, "=")
		if _, twice := change[key]; !ok || key == "" || twice {
			return usage("settings are given as KEY=VALUE, each once")
		}
		if file, named := strings.CutPrefix(value, "@"); named {
			var err error
			if value, err = fileValue(file); err != nil {
				return err
			}
		}
		if json.Valid([]byte(value)) {
			change[key] = json.RawMessage(value)
		} else {
			change[key] = value
		}
	}
	var s json.RawMessage
	if err := e.ask("PUT", "/v1/settings", change, &s); err != nil {
		return err
	}
	return e.settings(s)
}

// fileValue is the value of a setting that stands in a file.
func fileValue(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, eventstore.MaxEvent+1))
	if err != nil {
		return "", err
	}
	if len(b) > eventstore.MaxEvent {
		return "", usage("the file of a setting has at most 256 KiB")
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// longValue is how much of a setting's value a table shows; --json shows it whole.
const longValue = 60

// settings prints a tenant's settings with their meaning, in the order in which they are described; what this program does not know comes last.
func (e *env) settings(s json.RawMessage) error {
	if e.JSON {
		return e.document(s)
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(s, &values); err != nil {
		return errors.New("the server's answer is not Oubli's")
	}
	t := table{head: []string{"SETTING", "VALUE", "MEANING"}}
	for _, d := range settings.Describe() {
		if v, there := values[d.Name]; there {
			t.add(d.Name, shortened(v), d.Meaning)
			delete(values, d.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		t.add(name, shortened(values[name]))
	}
	return t.print(e.out, "")
}

// shortened is a value as a table shows it.
func shortened(v json.RawMessage) string {
	var text string
	if json.Unmarshal(v, &text) != nil {
		text = string(v)
	}
	if r := []rune(text); len(r) > longValue {
		return string(r[:longValue]) + "…"
	}
	return text
}

// members prints the members of a flat document, sorted by name.
func (e *env) members(s json.RawMessage, head ...string) error {
	if e.JSON {
		return e.document(s)
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(s, &values); err != nil {
		return errors.New("the server's answer is not Oubli's")
	}
	t := table{head: head}
	for _, k := range slices.Sorted(maps.Keys(values)) {
		var text string
		if json.Unmarshal(values[k], &text) != nil {
			text = string(values[k])
		}
		t.add(k, text)
	}
	return t.print(e.out, "")
}

type tenantEraseCmd struct {
	Name string `arg:"" help:"The tenant."`
	Yes  bool   `help:"Do not ask."`
}

// Run erases a tenant. On a terminal its name is asked for once more.
func (c tenantEraseCmd) Run(e *env) error {
	if !c.Yes && !e.inTTY {
		return usage("there is no terminal to ask on: say --yes")
	}
	if !c.Yes {
		fmt.Fprintf(e.err, "This erases the tenant %s with every person, token and statistic in it, for good.\nType its name to go on: ", clean(c.Name, false))
		line, err := e.in.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if strings.TrimSpace(line) != c.Name {
			return exit{Failed, errors.New("nothing was erased")}
		}
	}
	var done struct {
		Tenant string `json:"tenant"`
		Erased string `json:"erased"`
	}
	if err := e.ask("POST", "/v1/tenants/"+url.PathEscape(c.Name)+"/erase", nil, &done); err != nil {
		return err
	}
	if e.JSON {
		return e.document(done)
	}
	_, err := fmt.Fprintf(e.out, "Erased tenant %s. Nothing of it can be read any more.\n", clean(done.Tenant, false))
	return err
}

// ask sends one request to the server and decodes the answer.
func (e *env) ask(method, path string, in, out any) error {
	a, err := e.api()
	if err != nil {
		return err
	}
	return a.call(e.ctx, method, path, nil, in, out)
}
