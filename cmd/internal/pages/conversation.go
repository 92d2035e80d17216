package pages

import (
	"io"
	"iter"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// WriteConversation writes one conversation for the person who had it, and says how many events it has; without any it writes nothing. The first error of
// events ends it, and what was written is not a whole page.
func WriteConversation(w io.Writer, f From, now time.Time, events iter.Seq2[eventstore.Recorded, error]) (n int, err error) {
	var t talks
	for e, err := range events {
		if err != nil {
			return n, err
		}
		if n++; n == 1 {
			p, err := begin(w, f)
			if err != nil {
				return n, err
			}
			t.page = p
			p.write("head", f.say("talk_title"))
			p.write("conversation", now)
		}
		if err := t.event(e); err != nil {
			return n, err
		}
	}
	if n == 0 {
		return 0, nil
	}
	t.write("conversation_end", n)
	return n, t.page.end()
}
