package console

import (
	"errors"
	"io"
	"strings"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

// who names one person on the command line.
type who struct {
	Identity string `xor:"who" required:"" placeholder:"NS:ID" help:"${flag_identity}"`
	Person   string `xor:"who" required:"" placeholder:"ULID" help:"${flag_person}"`
}

// find gives the server and the person who is meant.
func (w who) find(e *env) (*api, eventstore.PersonID, error) {
	a, err := e.api()
	if err != nil {
		return nil, eventstore.PersonID{}, err
	}
	if w.Identity == "" {
		person, err := eventstore.ParsePersonID(strings.ToUpper(w.Person))
		if err != nil {
			err = usage(e.say("bad_person"))
		}
		return a, person, err
	}
	id, err := w.identity(e)
	if err != nil {
		return nil, eventstore.PersonID{}, err
	}
	var found struct {
		Persons []rights.Person `json:"persons"`
	}
	asked := map[string][]eventstore.Identity{"identities": {id}}
	if err := a.call(e.ctx, "POST", "/v1/persons/lookup", nil, asked, &found); err != nil {
		return nil, eventstore.PersonID{}, err
	}
	if len(found.Persons) == 0 {
		return nil, eventstore.PersonID{}, exit{NotFound, errors.New(e.say("nobody"))}
	}
	return a, found.Persons[0].Person, nil
}

// identity reads the handle from the flag, or from standard input for a hyphen.
func (w who) identity(e *env) (eventstore.Identity, error) {
	text := w.Identity
	if text == "-" {
		if e.inTTY {
			io.WriteString(e.err, e.say("prompt_identity"))
		}
		line, err := e.in.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return eventstore.Identity{}, err
		}
		if text = strings.TrimSpace(line); text == "" {
			return eventstore.Identity{}, usage(e.say("no_identity"))
		}
	}
	namespace, id, ok := strings.Cut(text, ":")
	if !ok || namespace == "" || id == "" {
		return eventstore.Identity{}, usage(e.say("bad_identity"))
	}
	return eventstore.Identity{Namespace: namespace, ID: id}, nil
}
