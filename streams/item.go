package streams

import (
	"context"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/streams/journal"
)

// item is one message on its way through the writer; it is also its caller's ticket.
type item struct {
	entry      journal.Entry
	month      uint16
	expected   *uint64
	journalled bool

	// found is the sequence that the index has under the row, as of the generation asked.
	found uint64
	asked uint64

	// answered belongs to the writer; out and err are read once done is closed.
	answered bool
	out      eventstore.Appended
	err      error
	done     chan struct{}
}

func (it *item) person() eventstore.PersonID { return eventstore.PersonID(it.entry.Person) }

// answer ends the wait of the caller, once.
func (it *item) answer(out eventstore.Appended, err error) {
	if it.answered {
		return
	}
	it.answered = true
	it.out, it.err = out, err
	close(it.done)
}

// Done implements [eventstore.Ticket].
func (it *item) Done() <-chan struct{} { return it.done }

// Wait implements [eventstore.Ticket].
func (it *item) Wait(ctx context.Context) (eventstore.Appended, error) {
	select {
	case <-it.done:
		return it.out, it.err
	default:
	}
	select {
	case <-it.done:
		return it.out, it.err
	case <-ctx.Done():
		return eventstore.Appended{}, uncertain(ctx.Err())
	}
}
