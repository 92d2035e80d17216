package streams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// In a cluster every replica answers direct gets, also one that lags behind. Whatever must not miss what was acknowledged asks the stream's leader first.
// A leader can be behind, too: a new one that has not yet applied all that it holds, or one that was cut off and does not know yet that it leads no
// more. So each question says up to where the answer must reach.

// leaderPause is the pause between questions to a leader or replica that is behind, or while there is none.
const leaderPause = 20 * time.Millisecond

var errLags = errors.New("a server of the NATS cluster lags behind, or no leader was found")

// insist asks until the answer is there or the servers were silent or behind for too long.
func insist(ctx context.Context, ask func(context.Context) (done bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	for {
		one, cancel := context.WithTimeout(ctx, answerWait/4)
		done, err := ask(one)
		cancel()
		if done {
			return err
		}
		select {
		case <-ctx.Done():
			return unavailable(errors.Join(errLags, err, ctx.Err()))
		case <-time.After(leaderPause):
		}
	}
}

// leaderReaches waits until the leader has the stream up to a sequence.
func (r remote) leaderReaches(ctx context.Context, sequence uint64) error {
	return insist(ctx, func(ctx context.Context) (bool, error) {
		st, err := r.state(ctx)
		if errors.Is(err, errNoStream) {
			return true, unavailable(err)
		}
		return err == nil && st.last >= sequence, err
	})
}

// leaderLast is the sequence of the last message of a subject (no wildcards: of those the server looks at the stream's last sequence only, removed or not) by
// the leader, 0 if there is none.
func (r remote) leaderLast(ctx context.Context, subject string) (sequence uint64, err error) {
	return r.leaderGet(ctx, getRequest{LastFor: subject})
}

// leaderNext is the sequence of the first message of a subject (wildcards allowed) from a sequence on, by the leader, 0 if there is none.
func (r remote) leaderNext(ctx context.Context, subject string, from uint64) (sequence uint64, err error) {
	return r.leaderGet(ctx, getRequest{NextFor: subject, Seq: from})
}

// leaderHolds says whether the leader has a message.
func (r remote) leaderHolds(ctx context.Context, sequence uint64) (bool, error) {
	at, err := r.leaderGet(ctx, getRequest{Seq: sequence})
	return at != 0, err
}

func (r remote) leaderGet(ctx context.Context, q getRequest) (sequence uint64, err error) {
	request, err := json.Marshal(q)
	if err != nil {
		return 0, fmt.Errorf("asking for a message: %w", err)
	}
	err = insist(ctx, func(ctx context.Context) (bool, error) {
		m, err := r.reads.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+r.spec.stream(), request)
		if err != nil {
			return false, err
		}
		var answer struct {
			Error   *jetstream.APIError `json:"error"`
			Message struct {
				Sequence uint64 `json:"seq"`
			} `json:"message"`
		}
		if err := json.Unmarshal(m.Data, &answer); err != nil {
			return false, err
		}
		if answer.Error == nil {
			sequence = answer.Message.Sequence
			return true, nil
		}
		if answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return true, nil
		}
		return false, answer.Error
	})
	return sequence, err
}

// eachReplicated is each in a cluster: where the batches end, the leader is asked whether there is more; if so they go on from there.
func (r remote) eachReplicated(ctx context.Context, subject string, from, to uint64, fn func(message) bool) error {
	if err := r.leaderReaches(ctx, to); err != nil {
		return err
	}
	return insistOnProgress(ctx, func(ctx context.Context) (progress, done bool, err error) {
		seen, ended, err := r.pass(ctx, subject, from, to, fn)
		progress = seen >= from
		from = max(from, seen+1)
		if err != nil || ended || from > to {
			return progress, err == nil, err
		}
		next, err := r.leaderNext(ctx, subject, from)
		return progress, err == nil && (next == 0 || next > to), err
	})
}

// insistOnProgress calls step until it is done, and gives up after too long without progress. An error after progress ends it: the caller has seen a part
// and goes on from there.
func insistOnProgress(ctx context.Context, step func(context.Context) (progress, done bool, err error)) error {
	deadline := time.Now().Add(answerWait)
	for {
		progress, done, err := step(ctx)
		switch {
		case done || ctx.Err() != nil:
			return errors.Join(err, ctx.Err())
		case progress:
			deadline = time.Now().Add(answerWait)
		case time.Now().After(deadline):
			return unavailable(errors.Join(errLags, err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(leaderPause):
		}
	}
}
