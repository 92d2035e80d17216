package settings

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
)

const maxFile = 64 << 10

// readFile reads the settings of a file; what is wrong in it is added to refused.
func readFile(path string, refused *Refusals) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the settings file: %w", cause(err))
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the settings file: %w", cause(err))
	}
	if len(b) > maxFile {
		*refused = append(*refused, "the settings file is too large")
		return nil, nil
	}
	if t := bytes.TrimSpace(b); len(t) > 0 && t[0] == '{' {
		return parseJSON(t, refused), nil
	}
	return parseLines(b, refused), nil
}

// cause takes the path off an error.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func parseLines(b []byte, refused *Refusals) map[string]string {
	out := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, maxFile+1)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		_, twice := out[name]
		switch {
		case !ok:
			*refused = append(*refused, fmt.Sprintf("settings file, line %d: must be name = value", n))
		case !slices.Contains(Names(), name):
			*refused = append(*refused, fmt.Sprintf("settings file, line %d: there is no such setting; there are %s", n, strings.Join(Names(), ", ")))
		case twice:
			*refused = append(*refused, fmt.Sprintf("settings file, line %d: %s is there twice", n, name))
		default:
			out[name] = strings.TrimSpace(value)
		}
	}
	return out
}

func parseJSON(b []byte, refused *Refusals) map[string]string {
	var values map[string]any
	if json.Unmarshal(b, &values) != nil {
		*refused = append(*refused, "settings file: must be one JSON object, or lines of name = value")
		return nil
	}
	out := map[string]string{}
	for name, value := range values {
		if !slices.Contains(Names(), name) {
			*refused = append(*refused, "settings file: a member is no setting; there are "+strings.Join(Names(), ", "))
			continue
		}
		switch v := value.(type) {
		case string:
			out[name] = v
		case bool:
			out[name] = strconv.FormatBool(v)
		default:
			*refused = append(*refused, fmt.Sprintf("settings file: %s must be a string, true or false", name))
		}
	}
	return out
}
