package keyvault

import (
	"context"

	"github.com/oubli-store/oubli/keyvault/tree"
)

// renew gives the tenant a new root key over the same tree, and leaves out refusals that have expired. From then on a copy of the database from
// before does not open under the register: that the database is of the same moment as the register is noticed at the next start also when nobody
// was erased in between, and so is a log of the database that lost its end.
func (t *tenant) renew(ctx context.Context) error {
	leave, err := t.enterToRekey()
	if err != nil {
		return err
	}
	defer leave()
	return t.renewLocked(ctx)
}

// renewLocked is renew for who holds mu alone.
func (t *tenant) renewLocked(ctx context.Context) error {
	b := t.v.batch()
	defer b.Close()
	next := t.own.clone()
	if err := t.dropExpired(b, next, t.v.c.Now()); err != nil {
		return err
	}
	if err := t.rekey(ctx, b, tree.Edits{}, next); err != nil {
		return err
	}
	t.minted.Store(false)
	return nil
}

// maintain shreds the keys of refusals that have expired, and renews the root when persons came in since the last time.
func (t *tenant) maintain(ctx context.Context) error {
	if t.minted.Load() {
		return t.renew(ctx)
	}
	return t.expireRefusals(ctx)
}
