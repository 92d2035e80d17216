package console

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

type showCmd struct{ who }

// Run prints what is known of a person.
func (c showCmd) Run(e *env) error {
	a, person, err := c.find(e)
	if err != nil {
		return err
	}
	var p rights.Person
	if err := a.call(e.ctx, "GET", "/v1/persons/"+person.String(), nil, nil, &p); err != nil {
		return err
	}
	if e.JSON {
		return e.document(p)
	}
	var t table
	t.add(e.say("person"), p.Person.String())
	others := slices.DeleteFunc(slices.Clone(p.Persons), func(q eventstore.PersonID) bool { return q == p.Person })
	for i, q := range others {
		t.add(first(i, e.say("persons")), q.String())
	}
	for i, id := range p.Identities {
		t.add(first(i, e.say("handles")), id.Namespace+":"+id.ID)
	}
	for i, id := range p.Ambiguous {
		t.add(first(i, e.say("ambiguous")), id.Namespace+":"+id.ID)
	}
	if p.Restricted || p.Objected || p.Hold {
		e.standing(&t, p.Restricted, p.Objected, p.Hold)
	} else {
		t.add(e.say("state"), e.code("state_", p.State))
	}
	t.add(e.say("known"), when(p.Created))
	t.add(e.say("events"), fmt.Sprint(p.Events))
	if p.ExpiredBefore != "" {
		t.add(e.say("expired_before"), clean(p.ExpiredBefore, false))
	}
	for i, purpose := range slices.Sorted(maps.Keys(p.Consents)) {
		t.add(first(i, e.say("consents")), purpose+": "+e.consent(p.Consents[purpose]))
	}
	if err := t.print(e.out, ""); err != nil {
		return err
	}
	if len(p.Ambiguous) > 0 {
		e.note("%s", e.say("state_hint"))
	}
	return nil
}

// first gives the label in the first of several rows.
func first(i int, label string) string {
	if i > 0 {
		return ""
	}
	return label
}

// code translates a code where the catalogue knows it, each of several separated by commas.
func (e *env) code(prefix, codes string) string {
	var out []string
	for _, c := range strings.FieldsFunc(codes, func(r rune) bool { return r == ',' || r == ' ' }) {
		if _, known := catalogue[prefix+c]; known {
			c = e.say(prefix + c)
		}
		out = append(out, c)
	}
	return strings.Join(out, ", ")
}

func (e *env) consent(granted bool) string {
	if granted {
		return e.say("given")
	}
	return e.say("withdrawn")
}
