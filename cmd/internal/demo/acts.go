package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// Exit codes of the commands.
const (
	done     = 0
	notFound = 3
	gone     = 4
)

// support shows what support staff see of the person.
func (r *run) support(ctx context.Context) error {
	who := r.person.handle()
	r.title("Somebody asks: what do you know about me?")
	r.say("%s wrote to several bots, first as an unknown visitor and later with that address.", r.person.email.ID)
	r.say("Support staff look:")
	r.say("")
	code, out, errs := r.command(ctx, "", "person", "show", "--identity", who, "--json")
	var known struct {
		Person string
		Events int
	}
	if code != done || json.Unmarshal([]byte(out), &known) != nil {
		return fmt.Errorf("looking the person up: exit code %d: %s", code, errs)
	}
	r.id = known.Person
	r.show(ctx, 14, "person", "show", "--identity", who)
	r.say("")
	r.show(ctx, 16, "person", "transcript", "--identity", who)
	r.say("")
	r.prove(known.Events == r.person.events, "All handles of one human lead to everything that they said.",
		"%d handles, %d events in %d conversations.", len(r.person.handles), known.Events, r.person.conversations)
	for i := range r.others {
		code, out, errs := r.command(ctx, r.others[i].handle+"\n", "person", "transcript", "--identity", "-", "--json")
		if code != done {
			return fmt.Errorf("reading another person: exit code %d: %s", code, errs)
		}
		r.others[i].transcript = out
	}
	return nil
}

const figuresWithin = 20 * time.Second

// analysts shows statistics, once they have followed the events.
func (r *run) analysts(ctx context.Context) error {
	r.title("Analysts ask")
	r.say("Analysts get figures about groups of at least 10 persons. Their token reaches nothing else.")
	r.say("")
	if err := r.caughtUp(ctx); err != nil {
		return err
	}
	code := r.show(ctx, 14, "stats", "activity", "--by", "month")
	if code != done {
		return fmt.Errorf("statistics: exit code %d", code)
	}
	return nil
}

// caughtUp waits until the statistics have counted everything that is stored.
func (r *run) caughtUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, figuresWithin)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		code, out, errs := r.command(ctx, "", "projections", "status", "--json")
		var status struct{ Lag *uint64 }
		if code != done || json.Unmarshal([]byte(out), &status) != nil || status.Lag == nil {
			return fmt.Errorf("the state of the statistics: exit code %d: %s", code, errs)
		}
		if *status.Lag == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the statistics are %d events behind: %w", *status.Lag, ctx.Err())
		}
	}
}

// keepACopy makes the copy that an attacker, or an old backup, would have.
func (r *run) keepACopy(ctx context.Context) error {
	r.title("Somebody keeps a copy")
	r.say("The server is stopped for a moment, and vault/, nats/ and log/ are copied: everything but the root")
	r.say("register (roots/) and the key-encryption key. That is what a backup or a thief would have.")
	r.say("")
	if err := r.stop(ctx); err != nil {
		return err
	}
	var err error
	if r.before, err = r.mix("copy-from-before", from(r.data, partVault, partNATS, partLog)); err != nil {
		return err
	}
	control, err := r.mix("control", from(r.data, partVault, partNATS, partLog, partRoots, partKEK))
	if err != nil {
		return err
	}
	var got reading
	err = control.attempt(ctx, func(v vault, s *eventstore.Store) error {
		got = read(ctx, v, s, r.person.email)
		return got.err
	})
	r.prove(err == nil && got.events == r.person.events, "Control: with the root register of that time the copy opens.",
		"%d events of %s were read from it%s. So the copy is whole.", got.events, r.person.email.ID, because(err))
	return r.start(ctx)
}

// because adds an error to a sentence.
func because(err error) string {
	if err == nil {
		return ""
	}
	return " (" + err.Error() + ")"
}

// erase erases the person while others write.
func (r *run) erase(ctx context.Context) error {
	r.title("Somebody says: forget me")
	r.say("Support staff erase %s, while other people go on talking to the bots.", r.person.email.ID)
	r.say("")
	w := r.write(ctx)
	if err := w.underWay(ctx); err != nil {
		return errors.Join(err, w.end())
	}
	before := w.stored.Load()
	began := time.Now()
	code := r.show(ctx, 30, "person", "erase", "--identity", r.person.handle(), "--reason", "person-request", "--yes")
	took, during := time.Since(began), w.stored.Load()-before
	if err := errors.Join(w.more(ctx), w.end()); err != nil {
		return fmt.Errorf("writing meanwhile: %w", err)
	}
	if code != done {
		return fmt.Errorf("erasing: exit code %d", code)
	}
	r.say("")
	answered := w.answered
	r.prove(answered.stored == w.sent && w.sent > int(before), "A person is erased in one step, whatever they said, while others write.",
		"It took %d ms, look-up and preview included. Others sent %s events around it, %s of them answered during it: %s are stored, none failed.",
		took.Milliseconds(), thousands(w.sent), thousands(int(during)), thousands(answered.stored))
	return nil
}

// gone shows that the server has forgotten.
func (r *run) gone(ctx context.Context) error {
	r.title("Is it gone? The server says")
	code := r.show(ctx, 3, "person", "transcript", "--person", r.id)
	status := r.status(ctx, "/v1/persons/"+r.id+"/events")
	r.prove(code == gone && status == 410, "Reading the person is answered with: gone.", "Exit code %d, HTTP %d.", code, status)
	left := 0
	for id := range r.person.handles {
		if code, _, _ := r.command(ctx, id.Namespace+":"+id.ID+"\n", "person", "show", "--identity", "-"); code != notFound {
			left++
		}
	}
	r.prove(left == 0, "None of their handles leads anywhere.", "%d handles looked up, %d known.", len(r.person.handles), left)
	same := 0
	for _, o := range r.others {
		if code, out, _ := r.command(ctx, o.handle+"\n", "person", "transcript", "--identity", "-", "--json"); code == done && out == o.transcript && out != "" {
			same++
		}
	}
	r.prove(same == len(r.others) && same > 0, "Everybody else can be read as before.", "%d other people read before and after: %d the same, byte for byte.", len(r.others), same)
	return nil
}

// search looks for the person in every file.
func (r *run) search(context.Context) error {
	r.title("Is it gone? Every byte of the data directory")
	r.say("What %s said, their handles, the names of their conversations: each is looked for in every file.", r.person.email.ID)
	r.say("It never stood there in clear, before the erasure either.")
	r.say("")
	planted := filepath.Join(r.dir, "planted")
	if err := os.MkdirAll(planted, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(planted, "file"), []byte("… "+r.person.email.ID+" …"), 0o600); err != nil {
		return err
	}
	control, _, _, err := r.traces.search(planted)
	if err != nil {
		return err
	}
	r.prove(len(control) == 1, "Control: the search finds what is there.", "A handle that was planted in a file elsewhere was found.")
	hits, files, size, err := r.traces.search(r.data)
	if err != nil {
		return err
	}
	r.prove(len(hits) == 0, "No text and no handle of theirs stands in any file.",
		"%d traces (%d texts) in %d files, %.1f MB: %d found.", len(r.traces.known), r.traces.texts, files, float64(size)/1e6, len(hits))
	return nil
}
