package console

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// lang is a language of the help, the prompts and the answers.
type lang string

const (
	english lang = "en"
	french  lang = "fr"
)

// phrase is one text in both languages.
type phrase struct{ en, fr string }

// chooseLang reads OUBLI_LANG: fr, fr_FR.UTF-8, … mean French, anything else English.
func chooseLang(v string) lang {
	if v == "fr" || strings.HasPrefix(v, "fr_") || strings.HasPrefix(v, "fr-") {
		return french
	}
	return english
}

// say gives a phrase of the catalogue; args fill its verbs.
func (l lang) say(key string, args ...any) string {
	p, ok := catalogue[key]
	if !ok {
		panic("console: no phrase " + key)
	}
	text := p.en
	if l == french && p.fr != "" {
		text = p.fr
	}
	if len(args) > 0 {
		text = fmt.Sprintf(text, args...)
	}
	return text
}

// inFrench are the commands for people's requests: they, and the overview, exist in French too.
var inFrench = []string{"person", "erasure", "request", "verify"}

// of is the language in which a command speaks.
func (l lang) of(command string) lang {
	words := strings.Fields(command)
	if len(words) < 2 || slices.Contains(inFrench, words[1]) {
		return l
	}
	return english
}

// words is the language of the command that runs.
func (e *env) words() lang {
	if e.parsed == nil || e.parsed.Selected() == nil {
		return e.lang
	}
	return e.lang.of(e.parsed.Selected().FullPath())
}

// say gives a phrase in the language of the command that runs.
func (e *env) say(key string, args ...any) string { return e.words().say(key, args...) }

// fill puts the help texts where the commands and flags name them. As variables of kong's, all of them would be gone through anew for each flag, which
// took most of the time of a command.
func (l lang) fill(k *kong.Kong) error {
	return kong.Visit(k.Model.Node, func(at kong.Visitable, next kong.Next) error {
		switch n := at.(type) {
		case *kong.Node:
			n.Help = l.named(n.Help)
		case *kong.Value:
			n.Help = l.named(n.Help)
		}
		return next(nil)
	})
}

// named is the phrase that ${key} stands for; anything else stays, and kong refuses a key that it does not know.
func (l lang) named(help string) string {
	key, ok := strings.CutPrefix(help, "${")
	key, closed := strings.CutSuffix(key, "}")
	if _, known := catalogue[key]; !ok || !closed || !known {
		return help
	}
	return l.say(key)
}
