package streams

import "context"

// tally counts what a read of one subject from its beginning was promised by the server, and what it was given. The server's summary of a subject counts
// messages that it can no longer read, and its reads pass over them.
type tally struct{ promised, given uint64 }

// take counts one message of a read. The first one says how many there are behind it.
func (t *tally) take(m message) {
	if t.given == 0 {
		t.promised = m.pending + 1
	}
	t.given++
}

// short says that fewer came than was promised. Of a read that gave nothing the count of the subject is asked.
func (w *writer) short(ctx context.Context, subject string, t tally) (bool, error) {
	if t.given == 0 {
		n, err := w.remote.count(ctx, subject)
		return n > 0, err
	}
	return t.given < t.promised, nil
}

// passedOver ends a read from the beginning of a subject: ErrDamaged if the server holds messages of it that it does not give. What was removed meanwhile, or
// was not committed when the read began, looks the same at first: so it is counted again while nothing is removed. In a cluster it is not looked at:
// the replicas that answered need not have been of one mind.
func (w *writer) passedOver(ctx context.Context, subject string, seen tally) error {
	if w.remote.clustered {
		return nil
	}
	if short, err := w.short(ctx, subject, seen); err != nil || !short {
		return err
	}
	return w.turn(ctx, func() error {
		var again tally
		if _, _, err := w.remote.pass(ctx, subject, 1, ^uint64(0), func(m message) bool { again.take(m); return true }); err != nil {
			return err
		}
		short, err := w.short(ctx, subject, again)
		if err != nil || !short {
			return err
		}
		return damaged("the stream %s has messages of a person that it does not give: %d can be read; `oubli log check` names their sequences", w.spec.stream(), again.given)
	})
}
