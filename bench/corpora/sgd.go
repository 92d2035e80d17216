package corpora

import (
	"fmt"
	"iter"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// SGDPersons is how many persons the dialogues are given to, in turn.
const SGDPersons = 40

// sgdStart is the time of the first dialogue; the n-th begins n hours later, and a turn takes twenty seconds.
var sgdStart = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

type sgdDialogue struct {
	ID    string `json:"dialogue_id"`
	Turns []struct {
		Speaker   string     `json:"speaker"`
		Utterance string     `json:"utterance"`
		Frames    []sgdFrame `json:"frames"`
	} `json:"turns"`
}

type sgdFrame struct {
	Service string `json:"service"`
	Slots   []struct {
		Slot  string `json:"slot"`
		Start int    `json:"start"`
		End   int    `json:"exclusive_end"`
	} `json:"slots"`
	State struct {
		Intent string `json:"active_intent"`
	} `json:"state"`
}

// SGD yields the Schema-Guided Dialogues in dir/sgd-dev, dialogue by dialogue.
//
// The corpus has neither persons nor times: the n-th dialogue is given to sgd:user-<n mod [SGDPersons]> and to the n-th hour from a
// fixed day on. A turn of the user is a message with the frame's active intent (none for "NONE") and its slots as entities; spans
// count code points, as Python does. A turn of the system is a message by the bot "sgd".
func SGD(dir string) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		n := 0
		for name, err := range files(filepath.Join(dir, SGDFolder, "dialogues_*.json")) {
			var dialogues []sgdDialogue
			if err == nil {
				err = load(name, &dialogues)
			}
			if err != nil {
				yield(eventstore.Event{}, err)
				return
			}
			for _, d := range dialogues {
				err := d.events(n, func(e eventstore.Event) bool { return yield(e, nil) })
				if err == errStop {
					return
				}
				if err != nil {
					yield(eventstore.Event{}, fmt.Errorf("%s, dialogue %d: %w", name, n, err))
					return
				}
				n++
			}
		}
	}
}

func (d *sgdDialogue) events(n int, yield func(eventstore.Event) bool) error {
	start := sgdStart.Add(time.Duration(n) * time.Hour)
	for i, t := range d.Turns {
		e := eventstore.Event{
			Key:          "sgd/" + d.ID + "/" + strconv.Itoa(i),
			Time:         start.Add(time.Duration(i) * 20 * time.Second),
			Identity:     &eventstore.Identity{Namespace: "sgd", ID: "user-" + strconv.Itoa(n%SGDPersons)},
			Conversation: eventstore.ConversationID("sgd-" + d.ID),
			Type:         eventstore.TypeMessage,
			Author:       eventstore.AuthorUser,
			Bot:          "sgd",
			Channel:      "voice",
			Language:     "en",
			Text:         t.Utterance,
		}
		if t.Speaker == "SYSTEM" {
			e.Author = eventstore.AuthorBot
		}
		runes := []rune(t.Utterance)
		for _, f := range t.Frames {
			if in := f.State.Intent; in != "" && in != "NONE" && e.Intent == nil {
				e.Intent = &eventstore.Intent{Name: in}
			}
			for _, s := range f.Slots {
				if s.Start < 0 || s.End < s.Start || s.End > len(runes) {
					return ErrFormat
				}
				e.Entities = append(e.Entities, eventstore.Entity{
					Type: strings.ToLower(s.Slot), Value: string(runes[s.Start:s.End]), Start: s.Start, End: s.End,
				})
			}
		}
		if !yield(e) {
			return errStop
		}
	}
	return nil
}
