package pages

import (
	"bufio"
	"embed"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/phrases"
)

// From is in whose name a page is made, and how.
type From struct {
	Lang phrases.Lang
	// Controller is who is responsible for the data; Contact leads to the data protection officer. Both may be empty.
	Controller, Contact string
	// Zone is the time zone of the times (nil: UTC).
	Zone *time.Location
}

// ContentType is that of every page.
const ContentType = "text/html; charset=utf-8"

//go:embed *.html
var sources embed.FS

// templates has the functions of each call as placeholders: html/template must know their names when it reads the texts.
var templates = template.Must(template.New("").Funcs(From{}.functions()).ParseFS(sources, "*.html"))

// functions are what the texts use.
func (f From) functions() template.FuncMap {
	return template.FuncMap{
		"say":  f.say,
		"line": line,
		"at":   f.at,
		"lang": func() string { return string(f.lang()) },
		"from": func() From { return f },
		"style": func() template.CSS {
			return template.CSS(style)
		},
		"policy": func() string { return Policy },
	}
}

func (f From) lang() phrases.Lang {
	if f.Lang == phrases.French {
		return phrases.French
	}
	return phrases.English
}

// say gives a phrase of this package, or one that it shares.
func (f From) say(key string, args ...any) string {
	if p, own := words[key]; own {
		return fill(p.In(f.lang()), args)
	}
	return f.lang().Say(key, args...)
}

// at is a time as a person reads it.
func (f From) at(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	zone := f.Zone
	if zone == nil {
		zone = time.UTC
	}
	if f.lang() == phrases.French {
		return t.In(zone).Format("02/01/2006 15:04:05 MST")
	}
	return t.In(zone).Format("2006-01-02 15:04:05 MST")
}

// page is a document that is being written. The first error stays.
type page struct {
	From
	out  *bufio.Writer
	tmpl *template.Template
	err  error
}

func begin(w io.Writer, f From) (*page, error) {
	// Cloned, because functions belong to a template; the texts are read once.
	t, err := templates.Clone()
	if err != nil {
		return nil, err
	}
	return &page{From: f, out: bufio.NewWriterSize(w, 32<<10), tmpl: t.Funcs(f.functions())}, nil
}

// write fills one text.
func (p *page) write(name string, data any) error {
	if p.err == nil {
		p.err = p.tmpl.ExecuteTemplate(p.out, name, data)
	}
	return p.err
}

func (p *page) end() error {
	if p.write("foot", nil) == nil {
		p.err = p.out.Flush()
	}
	return p.err
}

// shown is a list of names in one line.
func shown(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = line(n)
	}
	return strings.Join(out, ", ")
}
