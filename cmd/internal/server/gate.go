package server

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/access"
	"github.com/oubli-store/oubli/cmd/internal/backup"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/ledger"
)

// mergedLedger puts a tenant's ledger into its stream: the backup's, and what the newest one says behind it. Both must be the same as far as the shorter
// goes.
func (r *restore) mergedLedger(ctx context.Context, section backup.Section) error {
	t := r.byName[section.Tenant]
	had := r.had(section.Tenant)
	var others, ours uint64
	err := r.records(ctx, section.Tenant, eventstore.RecordsLedger, func(yield func(eventstore.Record, error) bool) {
		next, stop := iter.Pull2(r.newest(ctx, section.Tenant))
		defer stop()
		take := func() (rec eventstore.Record, there bool, err error) {
			rec, err, there = next()
			if there && err == nil {
				others++
			}
			return rec, there, err
		}
		for i, err := range r.file.Items() {
			if err != nil {
				yield(eventstore.Record{}, err)
				return
			}
			newer, there, err := take()
			if err == nil && there && !bytes.Equal(newer.Data, i.Value) {
				err = fmt.Errorf("%w (entry %d)", ErrOtherLedger, i.Number)
			}
			ours++
			if !yield(eventstore.Record{Number: i.Number, Data: i.Value}, err) || err != nil {
				return
			}
		}
		for {
			newer, there, err := take()
			if !there && err == nil {
				return
			}
			if !yield(newer, err) || err != nil {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if ours < had {
		return fmt.Errorf("%w: the ledger had %d entries at the moment and holds %d", backup.ErrDamaged, had, ours)
	}
	t.Entries = max(ours, others)
	t.Since = t.Entries - had
	if r.newer != nil && others < ours && !r.order.AcceptLost && !r.gone(section.Tenant) {
		return ErrOldLedger
	}
	return nil
}

// had is how many entries a tenant's ledger had at the moment of the backup.
func (r *restore) had(id eventstore.TenantID) uint64 {
	for _, t := range r.file.Header.Tenants {
		if t.Name == id {
			return t.Entries
		}
	}
	return 0
}

// before is how much longer than the moment back entries are looked at: their effect comes after them.
const before = 10 * time.Minute

// since says that an act may have had its effect after the moment of the backup.
func (r *restore) since(id eventstore.TenantID, n ledger.Numbered) bool {
	return n.Number > r.had(id) || n.Time.After(r.file.Header.Moment.Add(-before))
}

// gone says that the newest ledgers know nothing of a tenant: it was erased since, or they are not all. The gate looks which.
func (r *restore) gone(id eventstore.TenantID) bool {
	return !slices.Contains(r.newer.Tenants(), id)
}

func (r *restore) newest(ctx context.Context, id eventstore.TenantID) iter.Seq2[eventstore.Record, error] {
	if r.newer == nil || r.gone(id) {
		return func(func(eventstore.Record, error) bool) {}
	}
	return r.newer.Records(ctx, id)
}

// acceptedLost is the basis of the entry of a restore whose newest ledger was not known.
const acceptedLost = "lost-ledger-accepted"

// gate applies again what the ledgers say happened since the backup. The entry of the restore comes first.
func (r *restore) gate(ctx context.Context) error {
	known := r.file.Header.Tenants
	if r.newer != nil {
		for _, id := range r.newer.Tenants() {
			if !slices.ContainsFunc(known, func(t backup.Tenant) bool { return t.Name == id }) {
				r.out.LostTenants = append(r.out.LostTenants, id)
			}
		}
	}
	for _, id := range r.live() {
		if err := r.openRestored(ctx, id); err != nil {
			return fmt.Errorf("tenant %s: %w", id, err)
		}
	}
	erased, err := r.tenantsErased(ctx)
	if err != nil {
		return err
	}
	for _, id := range r.live() {
		erased[id] = erased[id] || r.newer != nil && r.newer.Erased(id)
		if r.newer != nil && r.gone(id) && !erased[id] && !r.order.AcceptLost {
			return fmt.Errorf("tenant %s: %w", id, ErrOldLedger)
		}
		if erased[id] && id != eventstore.DefaultTenant {
			r.out.ErasedTenants = append(r.out.ErasedTenants, id)
			if err := r.erase(ctx, id); err != nil {
				return err
			}
			continue
		}
		if err := r.again(ctx, id); err != nil {
			return fmt.Errorf("tenant %s: %w", id, err)
		}
	}
	r.out.Tenants = slices.DeleteFunc(r.out.Tenants, func(t RestoredTenant) bool { return slices.Contains(r.out.ErasedTenants, t.Tenant) })
	if err := r.newAdmin(ctx); err != nil || r.newer == nil {
		return err
	}
	return r.newer.Adopt(ctx, r.vault)
}

// openRestored opens a tenant's streams and ledger, and makes the entry of the restore.
func (r *restore) openRestored(ctx context.Context, id eventstore.TenantID) error {
	if err := r.store.Open(ctx, id, false); err != nil {
		return err
	}
	for _, stream := range []eventstore.RecordStream{eventstore.RecordsLedger, eventstore.RecordsStats} {
		if err := r.streams.OpenRecords(ctx, id, stream, r.vault.Vault(), false); err != nil {
			return err
		}
	}
	if err := r.openAttachments(ctx, id); err != nil {
		return err
	}
	if err := r.ledger.Open(ctx, id); err != nil {
		return err
	}
	if err := r.settings.load(ctx, id); err != nil {
		return err
	}
	entry := eventstore.Entry{Act: eventstore.ActRestored, Token: eventstore.TokenSystem, Count: r.byName[id].Since, Time: r.c.Now()}
	if r.order.AcceptLost {
		entry.Basis = acceptedLost
	}
	_, err := r.ledger.Record(ctx, id, entry)
	return err
}

// again holds one tenant to its ledger.
func (r *restore) again(ctx context.Context, id eventstore.TenantID) error {
	t := r.byName[id]
	var marks [][]byte
	var number uint64
	report, err := r.rights.Reapply(ctx, id, func(yield func(eventstore.Entry, error) bool) {
		for n, err := range r.ledger.Entries(ctx, id, 1) {
			if number++; r.since(id, n) && (n.Act == eventstore.ActTokenRevoked || n.Act == eventstore.ActTokenRotated) {
				marks = append(marks, n.Subject)
			}
			r.order.Progress("ledger", number)
			if !yield(n.Entry, err) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	t.Again = report
	t.Revoked, err = r.revoke(ctx, id, marks)
	return err
}

// revoke ends the access tokens that were ended, or given another text, since the backup. An entry that does not say which ends them all.
func (r *restore) revoke(ctx context.Context, id eventstore.TenantID, marks [][]byte) (n int, err error) {
	if len(marks) == 0 && !r.order.AcceptLost {
		return 0, nil
	}
	all := r.order.AcceptLost || slices.ContainsFunc(marks, func(m []byte) bool { return len(m) == 0 })
	tokens, err := r.tokens.List(ctx, id)
	if err != nil {
		return 0, err
	}
	for _, t := range tokens {
		if !t.Revoked.IsZero() || !all && !slices.ContainsFunc(marks, func(m []byte) bool { return bytes.Equal(m, access.Mark(t.ID)) }) {
			continue
		}
		if err := r.tokens.Revoke(ctx, id, t.ID); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// tenantsErased reads from the default tenant's ledger which tenants were erased.
func (r *restore) tenantsErased(ctx context.Context) (map[eventstore.TenantID]bool, error) {
	out := map[eventstore.TenantID]bool{}
	for n, err := range r.ledger.Entries(ctx, eventstore.DefaultTenant, 1) {
		if err != nil {
			return nil, err
		}
		for _, id := range r.live() {
			if r.since(eventstore.DefaultTenant, n) && n.Act == eventstore.ActTenantErased && n.Tenant == id {
				out[id] = true
			}
		}
	}
	return out, nil
}

// newAdmin makes an access token of the instance: the old file is not in a backup.
func (r *restore) newAdmin(ctx context.Context) error {
	entry := eventstore.Entry{Act: eventstore.ActTokenCreated, Token: eventstore.TokenSystem, Time: r.c.Now()}
	if _, err := r.ledger.Record(ctx, eventstore.DefaultTenant, entry); err != nil {
		return err
	}
	path := r.data.in("admin.token")
	r.out.AdminToken = path
	_, err := r.tokens.WriteAdmin(ctx, path)
	return err
}
