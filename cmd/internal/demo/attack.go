package demo

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"strings"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/thief"
)

// oldCopies tries what somebody could do who kept the copy and then came by everything that is there now: the data directory, the present
// root register and the key-encryption key.
func (r *run) oldCopies(ctx context.Context) error {
	r.title("Is it gone? Whoever kept the copy tries")
	r.say("The server is stopped again. The copy from before still has every encrypted word of %s. Now give the", r.person.email.ID)
	r.say("thief all that there is today: the data directory, the root register and the key-encryption key.")
	r.say("")
	if err := r.stop(ctx); err != nil {
		return err
	}
	old := string(r.before)
	if err := r.oldVault(ctx, old); err != nil {
		return err
	}
	if err := r.everyKey(old); err != nil {
		return err
	}
	return r.oldStream(ctx, old)
}

// oldVault puts the old vault under the present register.
func (r *run) oldVault(ctx context.Context, old string) error {
	parts := from(old, partVault, partNATS, partLog)
	maps.Copy(parts, from(r.data, partRoots, partKEK))
	c, err := r.mix("old-vault", parts)
	if err != nil {
		return err
	}
	var got reading
	err = c.attempt(ctx, func(v vault, s *eventstore.Store) error {
		got = read(ctx, v, s, r.person.email)
		return got.err
	})
	r.prove(errors.Is(err, eventstore.ErrDamaged) && got.events == 0, "The old copy of the vault does not open with what there is today.",
		"It says: %s.", oneLine(err))
	r.say("    Why: the root key that this copy hangs from is overwritten, by an erasure and at every restart. No file holds it any more.")
	return nil
}

// everyKey reads the files themselves, old and new, and tries every key that comes out of what there is today on every row of the old copy. Of most
// people the keys there are today's keys still, however often the root was renewed: so the old copy gives them up, and not her.
func (r *run) everyKey(old string) error {
	person, err := eventstore.ParsePersonID(r.id)
	if err != nil {
		return err
	}
	now, err := r.mix("every-key", from(r.data, partVault, partRoots, partKEK))
	if err != nil {
		return err
	}
	part := func(name string) string { return filepath.Join(string(now), name) }
	id, err := thief.VaultOf(part(partRoots), part(partKEK))
	if err != nil {
		return err
	}
	today := thief.New(id)
	if err := errors.Join(today.Take(part(partVault)), today.Roots(part(partRoots), part(partKEK)), today.Run()); err != nil {
		return err
	}
	copied := today.Again()
	if err := errors.Join(copied.Take(filepath.Join(old, partVault)), copied.Run()); err != nil {
		return err
	}
	r.prove(copied.Persons() > 0 && !copied.Holds(person) && !copied.Names("email:"+r.person.email.ID),
		"Every key in today's files, tried on every row of the old copy, does not open this person.",
		"%d other people's records in the old copy do open: it is not the age of the copy, it is the erasure.", copied.Persons())
	return nil
}

// oldStream puts the old stream, which has the ciphertext, under the present vault.
func (r *run) oldStream(ctx context.Context, old string) error {
	parts := from(old, partNATS, partLog)
	maps.Copy(parts, from(r.data, partVault, partRoots, partKEK))
	c, err := r.mix("old-stream", parts)
	if err != nil {
		return err
	}
	person, err := eventstore.ParsePersonID(r.id)
	if err != nil {
		return err
	}
	var hers, byHandle, theirs reading
	opened, wanted := 0, 0
	err = c.attempt(ctx, func(v vault, s *eventstore.Store) error {
		hers, byHandle = readPerson(ctx, s, person), read(ctx, v, s, r.person.email)
		for _, o := range r.others {
			namespace, id, _ := strings.Cut(o.handle, ":")
			theirs = read(ctx, v, s, eventstore.Identity{Namespace: namespace, ID: id})
			if theirs.err != nil {
				return theirs.err
			}
			opened, wanted = opened+theirs.events, wanted+strings.Count(o.transcript, "\n")
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.prove(errors.Is(hers.err, eventstore.ErrErased) && hers.events == 0 && errors.Is(byHandle.err, eventstore.ErrNotFound),
		"The old ciphertext does not open with the vault of today.",
		"By person id: %s. By handle: %s. %d events opened.", oneLine(hers.err), oneLine(byHandle.err), hers.events+byHandle.events)
	r.prove(opened == wanted && opened > 0, "Control: the same old ciphertext opens for everybody else.", "%d other people: %d of %d events opened.", len(r.others), opened, wanted)
	return nil
}

// oneLine is an error on one line.
func oneLine(err error) string {
	if err == nil {
		return "nothing was refused"
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
