package keyvault

import (
	"context"
	"fmt"
)

// Compact lets the database put away what it no longer needs, now and not by and by: the rows of old generations, which cost space and open nothing. It
// takes as long as reading and writing the whole database, while everything goes on. Nothing is erased by it.
func (v *Vault) Compact(ctx context.Context) error {
	if err := v.ready(); err != nil {
		return err
	}
	if err := v.attempt(v.db.Flush); err != nil {
		return err
	}
	if err := v.db.Compact(ctx, []byte{0}, []byte{0xff}, true); err != nil {
		return fmt.Errorf("vault: compacting the database: %w", damage(err))
	}
	return nil
}
