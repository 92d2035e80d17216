package pages

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/phrases"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/ledger"
)

// letter is a certificate on a page. All texts are plain.
type letter struct {
	Erasure, Reason, Scope, Issue, Entries, Key, Ledger, Checkpoint string
	Persons, Destroyed, Remains                                     []string
	Again, Completed                                                bool
	Stages, Notified                                                []moment
}

type moment struct {
	At   time.Time
	What string
}

// WriteCertificate writes the last issue of a certificate as a letter, with the words of `oubli verify`.
func WriteCertificate(w io.Writer, f From, v *ledger.Verified) error {
	p, err := begin(w, f)
	if err != nil {
		return err
	}
	p.write("head", f.say("letter_title"))
	p.write("certificate", f.letter(v))
	return p.end()
}

func (f From) letter(v *ledger.Verified) letter {
	s, l := v.Last(), f.lang()
	out := letter{
		Erasure: s.Erasure, Reason: reasons(l, string(s.Reason)), Scope: l.Code("scope_code_", string(s.Scope)),
		Issue: l.Say("certificate_issue", s.Issue, f.at(s.Issued)), Key: v.Key, Ledger: s.Ledger, Checkpoint: plain(strings.TrimSpace(s.Checkpoint)), Again: s.Again,
	}
	for _, person := range s.Persons {
		out.Persons = append(out.Persons, person.String())
	}
	var entries []string
	for _, e := range s.Entries {
		entries = append(entries, fmt.Sprint(e.Number))
	}
	out.Entries = strings.Join(entries, ", ")
	for _, x := range s.Stages {
		out.Stages = append(out.Stages, moment{x.At, l.Code("stage_", x.Stage)})
		out.Completed = out.Completed || x.Stage == eventstore.StageCompleted
	}
	for _, d := range s.Destroyed {
		out.Destroyed = append(out.Destroyed, l.Code("destroyed_", string(d.What)))
	}
	for _, n := range s.Notified {
		out.Notified = append(out.Notified, moment{n.At, line(n.Receiver)})
	}
	for _, r := range s.Remains {
		what := l.Code("remains_", string(r.What))
		if !r.Until.IsZero() {
			what = l.Say("until", what, f.at(r.Until))
		}
		out.Remains = append(out.Remains, what)
	}
	return out
}

// reasons puts the codes of a reason, several separated by commas, into words.
func reasons(l phrases.Lang, codes string) string {
	var out []string
	for _, c := range strings.FieldsFunc(codes, func(r rune) bool { return r == ',' || r == ' ' }) {
		out = append(out, l.Code("reason_", c))
	}
	return strings.Join(out, ", ")
}
