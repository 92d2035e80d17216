package register

import (
	"context"
	"errors"
	"fmt"
)

// Copies is a register in one or more copies: see the package comment. Calls for different tenants may run at the same time.
type Copies struct {
	each []oneCopy
}

// oneCopy is one copy, with the name that errors give it.
type oneCopy struct {
	Register
	name string
	// stale says that it was not part of the register before this start.
	stale bool
}

func (c oneCopy) failed(err error) error { return fmt.Errorf("root register in %s: %w", c.name, err) }

// Held is what one copy holds of a tenant.
type Held struct {
	// Copy names the copy, Stale says that it was not part of the register before this start: what it holds may be older.
	Copy  string
	Stale bool
	Slots [2]Slot
}

// Wipe overwrites the keys.
func (h Held) Wipe() {
	for _, s := range h.Slots {
		s.Root.Key.Wipe()
	}
}

// Held reads a tenant's slots in every copy.
func (c *Copies) Held(ctx context.Context, tenant uint32) ([]Held, error) {
	var out []Held
	for _, one := range c.each {
		slots, err := one.Slots(ctx, tenant)
		if err != nil {
			return nil, one.failed(err)
		}
		out = append(out, Held{one.name, one.stale, slots})
	}
	return out, nil
}

// Write puts a root into a slot of every copy, durably. After an error it stands in some of them: unless the tree has come to need it, that does no harm.
func (c *Copies) Write(ctx context.Context, tenant uint32, slot int, r Root) error {
	for _, one := range c.each {
		if err := one.Write(ctx, tenant, slot, r); err != nil {
			return one.failed(err)
		}
	}
	return nil
}

// Efface destroys what a slot holds in every copy, durably. One that fails does not keep the others from it. Repeatable.
func (c *Copies) Efface(ctx context.Context, tenant uint32, slot int) error {
	var failed []error
	for _, one := range c.each {
		if err := one.Efface(ctx, tenant, slot); err != nil {
			failed = append(failed, one.failed(err))
		}
	}
	return errors.Join(failed...)
}

// Agree makes every copy hold one root of a tenant in one slot, and nothing else. At least one copy must hold it there. Wherever a crash stops it, a copy
// still holds the root, and calling it again completes it.
func (c *Copies) Agree(ctx context.Context, tenant uint32, slot int, r Root) error {
	for _, one := range c.each {
		slots, err := one.Slots(ctx, tenant)
		if err != nil {
			return one.failed(err)
		}
		has := slots[slot].State == Full && slots[slot].Root.Equal(r)
		Held{Slots: slots}.Wipe()
		if !has {
			if err := one.Write(ctx, tenant, slot, r); err != nil {
				return one.failed(err)
			}
		}
		if slots[1-slot].State == Empty {
			continue
		}
		if err := one.Efface(ctx, tenant, 1-slot); err != nil {
			return one.failed(err)
		}
	}
	return nil
}

// EffaceAll destroys whatever any copy holds of a tenant. Repeatable.
func (c *Copies) EffaceAll(ctx context.Context, tenant uint32) error {
	var failed []error
	for _, one := range c.each {
		slots, err := one.Slots(ctx, tenant)
		if err != nil {
			return errors.Join(append(failed, one.failed(err))...)
		}
		for s := range slots {
			if slots[s].State == Empty {
				continue
			}
			if err := one.Efface(ctx, tenant, s); err != nil {
				failed = append(failed, one.failed(err))
			}
		}
	}
	return errors.Join(failed...)
}

// Tenants is above every tenant that was ever written to any copy.
func (c *Copies) Tenants(ctx context.Context) (most uint32, err error) {
	for _, one := range c.each {
		n, err := one.Tenants(ctx)
		if err != nil {
			return 0, one.failed(err)
		}
		most = max(most, n)
	}
	return most, nil
}

// Close closes every copy.
func (c *Copies) Close() error {
	var failed []error
	for _, one := range c.each {
		failed = append(failed, one.Close())
	}
	return errors.Join(failed...)
}
