package projections

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
	"github.com/oubli-store/oubli/projections/release"
)

// maxRecord is how large the record of a release may be.
const maxRecord = 700 << 10

// closeDue closes the periods that are due, at the position of the tenant, and removes releases whose time is over. Only the runner calls it, between batches.
//
// The steps of one release, each durable before the next begins:
//
//	charge   with noise: ε is entered in the ledger, if it is not there already
//	draft    the release is made, its noise drawn, and its record kept in table D
//	ledger   the record's hash is entered
//	publish  the record is appended to STATS_<tenant>; if that is in doubt the same record is appended again
//	absorb   the period is closed for the model; with the last of them the period's rows go, in the same batch
//
// After a crash at any point the next start first absorbs what was published, then goes on with what is left of the period, at the same position, and only then counts on. Until
// a draft is written nothing of it is known outside, so that a draw which is lost is none; from then on no other is made.
func (p *Projections) closeDue(ctx context.Context, t *tenant, cache *cache, asked func(eventstore.Period) bool) error {
	if p.c.Records == nil {
		return nil
	}
	s, err := p.settings(t.id)
	if err != nil {
		return err
	}
	s.Zone = t.zone
	open, err := p.openPeriods(t)
	if err != nil {
		return err
	}
	for _, o := range due(open, s, p.c.Now(), asked) {
		if err := p.close(ctx, t, cache, s, o); err != nil {
			return err
		}
	}
	return p.expireReleases(ctx, t, cache, s)
}

// finishCloses ends closes that were cut off: what is left of them belongs to the same position.
func (p *Projections) finishCloses(ctx context.Context, t *tenant, cache *cache) error {
	if p.c.Records == nil {
		return nil
	}
	open, err := p.openPeriods(t)
	if err != nil {
		return err
	}
	s, err := p.settings(t.id)
	if err != nil {
		return err
	}
	s.Zone = t.zone
	for _, o := range open {
		cut, err := p.cutOff(t, o.Period)
		if err != nil {
			return err
		}
		if cut {
			if err := p.close(ctx, t, cache, s, o); err != nil {
				return err
			}
		}
	}
	return nil
}

// cutOff says whether the close of a period was begun: it has a draft, or is closed for some model and still has what was counted for it.
func (p *Projections) cutOff(t *tenant, period eventstore.Period) (bool, error) {
	for _, m := range p.models {
		if _, ok := t.closed.at[released{m.ID, period}]; !ok {
			if _, drafted, err := get(p.db, t.key(tableDraft, []byte{m.ID}, periodBytes(period))); err != nil || drafted {
				return drafted, err
			}
			continue
		}
		n, err := count(p.db, t.key(tableCell, []byte{m.ID}, periodBytes(period)))
		if err != nil || n > 0 {
			return n > 0, err
		}
	}
	return false, nil
}

// close closes a period for all models.
func (p *Projections) close(ctx context.Context, t *tenant, cache *cache, s Settings, o openPeriod) error {
	for _, m := range p.models {
		if _, ok := t.closed.at[released{m.ID, o.Period}]; ok {
			continue
		}
		if err := p.release(ctx, t, cache, s, m, o); err != nil {
			return err
		}
	}
	return nil
}

func (p *Projections) release(ctx context.Context, t *tenant, cache *cache, s Settings, m *readmodel.Model, o openPeriod) error {
	record, err := p.draft(ctx, t, cache, s, m, o)
	if err != nil {
		return err
	}
	hash := release.Hash(record)
	if p.c.Ledger != nil {
		_, err = p.c.Ledger.Record(ctx, t.id, eventstore.Entry{
			Time: p.c.Now(), Act: eventstore.ActReleased, Token: eventstore.TokenSystem, Scope: scope(m.Name, o.Period), Subject: hash[:],
		})
	}
	if err == nil {
		_, err = p.c.Records.AppendRecord(ctx, t.id, eventstore.RecordsStats, record)
	}
	if errors.Is(err, eventstore.ErrUncertain) {
		err = eventstore.ErrUnavailable.Because(err) // the next round looks, and appends the same again if it is not there
	}
	if err != nil {
		return fmt.Errorf("projections: publishing a release: %w", err)
	}
	return p.absorb(ctx, t, cache)
}

// draft is the record of a release: the one that was made before a crash, or a new one, kept.
func (p *Projections) draft(ctx context.Context, t *tenant, cache *cache, s Settings, m *readmodel.Model, o openPeriod) ([]byte, error) {
	key := t.key(tableDraft, []byte{m.ID}, periodBytes(o.Period))
	record, found, err := get(p.db, key)
	if err != nil || found {
		return record, err
	}
	r, err := p.make(ctx, t, cache, s, m, o)
	if err != nil {
		return nil, err
	}
	if record, err = r.EncodeWithin(maxRecord); err != nil {
		return nil, err
	}
	return record, dbError(p.db.Set(key, record, pebble.Sync))
}

// make makes a release.
func (p *Projections) make(ctx context.Context, t *tenant, cache *cache, s Settings, m *readmodel.Model, o openPeriod) (*release.Release, error) {
	r := &release.Release{
		Projection: m.Name, Version: m.Version, Period: o.Period, Zone: t.zone.String(), Sequence: t.position.Load(),
		Closed: p.c.Now().UTC().Truncate(time.Millisecond), Rules: release.Rules{K: s.K, Bound: s.Bound, Epsilon: s.Epsilon},
	}
	for _, d := range m.Dimensions {
		r.Dimensions = append(r.Dimensions, d.Name)
	}
	if o.Kind == eventstore.Day {
		for _, c := range m.Counters() {
			r.Measures = append(r.Measures, c.Name)
		}
	}
	if s.Epsilon > 0 {
		charged, err := p.charge(ctx, t, s, scope(m.Name, o.Period))
		if err != nil {
			return nil, err
		}
		if charged == 0 {
			r.Hidden, r.Withheld = true, release.WithheldBudget
			return r, nil
		}
		r.Rules.Epsilon = charged
	}
	r.Threshold = r.Rules.Threshold(len(r.Dimensions), len(r.Measures))
	f := p.newFold(t, cache, t.position.Load())
	defer f.discard()
	table, err := f.tabulate(ctx, m, o.Period, r.Rules)
	if err != nil {
		return nil, err
	}
	if r.Figures, err = table.Figures(release.NewLaplace(p.c.Random)); err != nil {
		return nil, err
	}
	return r, p.speak(ctx, t, m, o, r)
}

// expireReleases deletes the releases whose time is over, a civil day at a time.
func (p *Projections) expireReleases(ctx context.Context, t *tenant, cache *cache, s Settings) error {
	now := p.c.Now()
	day := eventstore.PeriodOf(eventstore.Day, now.Add(-s.Keep), t.zone).Date()
	if !day.After(t.closed.before) || !slices.ContainsFunc(t.closed.ended(), func(end time.Time) bool { return !end.After(day) }) {
		return nil
	}
	record, err := release.Expired{Before: day}.Encode()
	if err != nil {
		return err
	}
	if p.c.Ledger != nil {
		_, err = p.c.Ledger.Record(ctx, t.id, eventstore.Entry{
			Time: now, Act: eventstore.ActReleasesExpired, Token: eventstore.TokenSystem, Scope: eventstore.ScopeCode(day.Format(time.DateOnly)),
		})
	}
	if err == nil {
		_, err = p.c.Records.AppendRecord(ctx, t.id, eventstore.RecordsStats, record)
	}
	if errors.Is(err, eventstore.ErrUncertain) {
		err = eventstore.ErrUnavailable.Because(err)
	}
	if err != nil {
		return fmt.Errorf("projections: letting releases expire: %w", err)
	}
	return p.absorb(ctx, t, cache)
}

// ended are the days behind the periods of all releases.
func (c *closed) ended() (out []time.Time) {
	for key := range c.at {
		out = append(out, key.period.Next().Date())
	}
	return out
}

// Released reads the releases of a projection for the periods of a kind between two, inclusive, in order. ErrNotFound for an unknown projection.
func (p *Projections) Released(ctx context.Context, id eventstore.TenantID, projection string, from, to eventstore.Period) ([]release.Release, error) {
	m, err := modelNamed(projection)
	if err != nil {
		return nil, err
	}
	t, err := p.tenant(ctx, id)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return p.released(t, m, from, to)
}

// releaseAt is the release where an iterator stands.
func releaseAt(it *pebble.Iterator) (out release.Release, err error) {
	value, err := it.ValueAndErr()
	if err != nil {
		return out, dbError(err)
	}
	_, record, err := parseReleaseRow(value)
	if err != nil {
		return out, err
	}
	r, err := release.Decode(record)
	if err != nil {
		return out, err
	}
	if r.Release == nil {
		return out, damaged("the row of a release holds something else")
	}
	return *r.Release, nil
}

// released reads releases; the tenant is locked. What it returns is not to be changed.
func (p *Projections) released(t *tenant, m *readmodel.Model, from, to eventstore.Period) (out []release.Release, err error) {
	it, err := p.db.NewIter(&pebble.IterOptions{
		LowerBound: t.releaseKey(released{m.ID, from}), UpperBound: successor(t.releaseKey(released{m.ID, to})),
	})
	if err != nil {
		return nil, dbError(err)
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		rest := it.Key()[len(t.key(tableRelease)):]
		if len(rest) != 1+periodSize {
			err = damaged("the row of a release cannot be read")
			break
		}
		key := released{rest[0], parsePeriod(rest[1:])}
		r, known := t.kept.releases[key]
		if !known {
			if r, err = releaseAt(it); err != nil {
				break
			}
			t.kept.put(key, r)
		}
		out = append(out, r)
	}
	return out, errors.Join(err, dbError(errors.Join(it.Error(), it.Close())))
}
