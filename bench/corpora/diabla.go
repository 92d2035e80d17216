package corpora

import (
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// diablaName ends in the numbers of the French-speaking and of the English-speaking participant.
var diablaName = regexp.MustCompile(`_french_english_(\d+)_(\d+)\.json$`)

const diablaTime = "2006-01-02T15:04:05.999999"

type diablaDialogue struct {
	Model      string                     `json:"translation_model"`
	Utterances map[string]diablaUtterance `json:"utterances"`
}

type diablaUtterance struct {
	Language string `json:"language"`
	Text     string `json:"original_text"`
	Sent     string `json:"sent_time"`
	Eval     struct {
		Judgment string     `json:"judgment"`
		History  [][]string `json:"judgment_history"`
	} `json:"eval"`
}

// Diabla yields the DiaBLa corpus in dir/diabla-fr-en, dialogue by dialogue.
//
// Each participant is a person, diabla:<number>, who takes part in up to thirty dialogues. A dialogue is a conversation of the bot
// "diabla-<translation model>". Each utterance is a message of its writer at the time it was sent; what the other participant thought
// of its translation follows as their feedback (poor 1, medium 2, perfect 3 of 3), at the time of their last judgement,
// or at the time of the message if it was left as it stood.
func Diabla(dir string) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		for name, err := range files(filepath.Join(dir, DiablaFolder, "dialogues", "*.json")) {
			if err == nil {
				err = diablaFile(name, func(e eventstore.Event) bool { return yield(e, nil) })
			}
			if err == errStop {
				return
			}
			if err != nil {
				yield(eventstore.Event{}, err)
				return
			}
		}
	}
}

// errStop says that the consumer has had enough.
var errStop = errors.New("stop")

func diablaFile(name string, yield func(eventstore.Event) bool) error {
	var d diablaDialogue
	if err := load(name, &d); err != nil {
		return err
	}
	numbers := diablaName.FindStringSubmatch(name)
	if numbers == nil {
		return fmt.Errorf("%s: %w", name, ErrFormat)
	}
	persons := map[string]eventstore.Identity{
		"french":  {Namespace: "diabla", ID: numbers[1]},
		"english": {Namespace: "diabla", ID: numbers[2]},
	}
	base := filepath.Base(name)
	dialogue := base[:len(base)-len(".json")]
	for i := range len(d.Utterances) {
		u, ok := d.Utterances[strconv.Itoa(i)]
		writer, known := persons[u.Language]
		sent, err := time.Parse(diablaTime, u.Sent)
		if !ok || !known || err != nil || u.Text == "" {
			return fmt.Errorf("%s, utterance %d: %w", name, i, ErrFormat)
		}
		e := eventstore.Event{
			Key:          dialogue + "/" + strconv.Itoa(i),
			Time:         sent,
			Identity:     &writer,
			Conversation: eventstore.ConversationID(dialogue),
			Type:         eventstore.TypeMessage,
			Author:       eventstore.AuthorUser,
			Bot:          eventstore.BotID("diabla-" + d.Model),
			Channel:      "web",
			Language:     u.Language[:2],
			Text:         u.Text,
		}
		if !yield(e) {
			return errStop
		}
		if f, ok := u.feedback(e, persons); ok && !yield(f) {
			return errStop
		}
	}
	return nil
}

// feedback is what the reader of an utterance thought of it.
func (u *diablaUtterance) feedback(e eventstore.Event, persons map[string]eventstore.Identity) (eventstore.Event, bool) {
	score := slices.Index([]string{"", "poor", "medium", "perfect"}, u.Eval.Judgment)
	if score < 1 {
		return e, false
	}
	reader, language := persons["french"], "fr"
	if u.Language == "french" {
		reader, language = persons["english"], "en"
	}
	e.Key += "/feedback"
	e.Type, e.Identity, e.Language, e.Text = eventstore.TypeFeedback, &reader, language, ""
	e.Feedback = &eventstore.Feedback{Score: float64(score), Scale: 3}
	if n := len(u.Eval.History); n > 0 && len(u.Eval.History[n-1]) > 1 {
		if t, err := time.Parse(diablaTime, u.Eval.History[n-1][1]); err == nil {
			e.Time = t
		}
	}
	return e, true
}
