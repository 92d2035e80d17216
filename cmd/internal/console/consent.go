package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

type consentCmd struct {
	who
	Output string `short:"o" placeholder:"FILE" help:"${flag_output}"`
}

// consentAnswer is one answer of a person, as the proof has it.
type consentAnswer struct {
	ID           eventstore.EventID        `json:"id"`
	Sequence     uint64                    `json:"sequence"`
	Time         time.Time                 `json:"time"`
	Received     time.Time                 `json:"received"`
	Bot          eventstore.BotID          `json:"bot,omitempty"`
	Conversation eventstore.ConversationID `json:"conversation"`
	eventstore.Consent
}

// consentProof is what was answered and which notices were shown, in order.
type consentProof struct {
	Person  eventstore.PersonID   `json:"person"`
	Answers []consentAnswer       `json:"answers"`
	Notices []eventstore.Recorded `json:"notices"`
}

// Run shows a person's answers to questions for consent, or writes the proof into a file.
func (c consentCmd) Run(e *env) error {
	a, person, err := c.find(e)
	if err != nil {
		return err
	}
	proof := consentProof{Person: person, Answers: []consentAnswer{}, Notices: []eventstore.Recorded{}}
	for line, err := range a.lines(e.ctx, "/v1/persons/"+person.String()+"/events", nil) {
		if err != nil {
			return err
		}
		var r eventstore.Recorded
		if err := json.Unmarshal(line, &r); err != nil {
			return errors.New("the server's answer is not Oubli's")
		}
		proof.add(r)
	}
	switch {
	case c.Output != "":
		return proof.write(e, c.Output)
	case e.JSON:
		return e.document(proof)
	}
	return proof.print(e)
}

func (p *consentProof) add(r eventstore.Recorded) {
	switch {
	case r.Event.Type == eventstore.TypeNotice:
		p.Notices = append(p.Notices, r)
	case r.Event.Type == eventstore.TypeConsent && r.Event.Consent != nil:
		p.Answers = append(p.Answers, consentAnswer{r.ID, r.Sequence, at(r), r.Received, r.Event.Bot, r.Event.Conversation, *r.Event.Consent})
	}
}

func (p *consentProof) print(e *env) error {
	if len(p.Answers) == 0 {
		e.note("%s", e.say("no_consents"))
		return nil
	}
	t := table{head: []string{e.say("when"), e.say("purpose"), e.say("answer"), e.say("method"), e.say("source"), e.say("notice_version")}}
	for _, a := range p.Answers {
		t.add(when(a.Time), clean(a.Purpose, false), e.consent(a.Granted), e.code("method_", a.Method), clean(a.Source, false), clean(a.Notice, false))
	}
	return t.print(e.out, "")
}

// write keeps the proof in a new file, which nobody else can read.
func (p *consentProof) write(e *env, name string) error {
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the proof: %w", err)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(terminalSafe(b), '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(name)
		return err
	}
	e.note("%s", e.say("written", clean(name, false)))
	return nil
}
