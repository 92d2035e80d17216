package rights

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// certificate is the row of TableCertificates: the file as it is handed out, and which stages its last issue says are behind.
type certificate struct {
	Stages map[Stage]time.Time `json:"stages"`
	File   []byte              `json:"file"`
}

var (
	errNoCertificates = eventstore.Refuse(eventstore.KindNotFound, "", "this server signs no certificates")
	errTooEarly       = eventstore.ErrUnavailable.Because(errors.New("nothing is destroyed yet: there is nothing to certify"))
)

// Certificate is the signed certificate of an erasure, with an issue about every stage that is behind. ErrNotFound; ErrUnavailable before
// the keys are destroyed, or while the ledger cannot be read.
func (s *Service) Certificate(ctx context.Context, tenant eventstore.TenantID, id string) ([]byte, error) {
	if s.c.Certifier == nil {
		return nil, errNoCertificates
	}
	if _, err := s.Erasure(ctx, tenant, id); err != nil {
		return nil, err
	}
	p, err := s.page(ctx, tenant)
	if err != nil {
		return nil, err
	}
	value, err := s.c.Meta.Get(ctx, tenant, eventstore.TableErasures, id)
	if err != nil {
		return nil, err
	}
	r, err := decode[row](value)
	if err != nil {
		return nil, err
	}
	if !r.reached(Shredded) {
		return nil, errTooEarly
	}
	c, err := s.certify(ctx, tenant, p, &r, false)
	return c.File, err
}

// complete is step 9. The certificate comes first; a crash before the row is stored finds its moment there.
func (s *Service) complete(ctx context.Context, tenant eventstore.TenantID, p *page, w *run) error {
	at := s.now()
	if s.c.Certifier != nil {
		c, err := s.certify(ctx, tenant, p, &w.row, true)
		if err != nil {
			return fmt.Errorf("certifying the erasure: %w", err)
		}
		at = c.Stages[Completed]
	}
	w.row.Stages[Completed] = at
	if err := s.save(ctx, tenant, w); err != nil {
		return err
	}
	p.remove(w)
	return nil
}

// certify gives the certificate with an issue about every stage of the row, and, completing, about the last one, whose moment it is.
func (s *Service) certify(ctx context.Context, tenant eventstore.TenantID, p *page, r *row, completing bool) (certificate, error) {
	if err := p.certifying.acquire(ctx); err != nil {
		return certificate{}, err
	}
	defer p.certifying.release()
	c, err := s.certificate(ctx, tenant, r.ID)
	if err != nil {
		return c, err
	}
	if _, completed := c.Stages[Completed]; completed || !completing && covers(c.Stages, r.Stages) {
		return c, nil
	}
	next := certificate{Stages: maps.Clone(r.Stages)}
	now := s.now()
	if completing {
		next.Stages[Completed] = now
	}
	statement, err := s.statement(ctx, tenant, r, next.Stages, now)
	if err != nil {
		return c, err
	}
	if next.File, err = s.c.Certifier.Certify(ctx, tenant, statement, []uint64{r.Entry}, c.File); err != nil {
		return c, err
	}
	value, err := json.Marshal(next)
	if err != nil {
		return c, err
	}
	if err := s.c.Meta.Put(ctx, tenant, eventstore.TableCertificates, r.ID, value); err != nil {
		return c, err
	}
	return next, nil
}

// certificate reads the one that is stored; it is empty if there is none.
func (s *Service) certificate(ctx context.Context, tenant eventstore.TenantID, id string) (c certificate, err error) {
	value, err := s.c.Meta.Get(ctx, tenant, eventstore.TableCertificates, id)
	if errors.Is(err, eventstore.ErrNotFound) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	if json.Unmarshal(value, &c) != nil {
		return c, fmt.Errorf("%w: the certificate of erasure %s cannot be read", eventstore.ErrDamaged, id)
	}
	return c, nil
}

func covers(all, some map[Stage]time.Time) bool {
	for stage := range some {
		if _, there := all[stage]; !there {
			return false
		}
	}
	return true
}

// statement is what an issue says.
func (s *Service) statement(ctx context.Context, tenant eventstore.TenantID, r *row, stages map[Stage]time.Time, now time.Time) (eventstore.Statement, error) {
	out := eventstore.Statement{
		Erasure: r.ID, Persons: r.Persons, Reason: r.Reason, Scope: r.Scope.Code(), Again: r.Again, Ticket: hex.EncodeToString(r.Subject), Issued: now,
	}
	at := time.Time{}
	for _, code := range eventstore.ErasureStages {
		t, reached := stages[Stage(code)]
		if !reached {
			break
		}
		if t.Before(at) { // a clock that was put back changes no order
			t = at
		}
		at = t
		out.Stages = append(out.Stages, eventstore.StageReached{Stage: code, At: t})
	}
	if out.Issued.Before(at) {
		out.Issued = at
	}
	out.Destroyed = destroyed(r, out.Stages)
	remains, err := s.remains(ctx, tenant, r, out.Issued)
	out.Remains = remains
	return out, err
}

func destroyed(r *row, stages []eventstore.StageReached) (out []eventstore.Destroyed) {
	for _, x := range stages {
		switch x.Stage {
		case eventstore.StageShredded:
			out = append(out, eventstore.Destroyed{What: eventstore.DestroyedKeys, At: x.At})
			if !r.partial() {
				out = append(out, eventstore.Destroyed{What: eventstore.DestroyedHandles, At: x.At})
			}
		case eventstore.StageProjected:
			out = append(out, eventstore.Destroyed{What: eventstore.DestroyedFigures, At: x.At})
		case eventstore.StageRemoved:
			out = append(out, eventstore.Destroyed{What: eventstore.DestroyedCiphertext, At: x.At})
		}
	}
	return out
}

// refusalLife is the longest time for which the marks that refuse late events of an erased person can be tested.
const refusalLife = 25 * time.Hour

func (s *Service) remains(ctx context.Context, tenant eventstore.TenantID, r *row, now time.Time) (out []eventstore.Remaining, err error) {
	add := func(what eventstore.RemainsCode, until time.Time) {
		out = append(out, eventstore.Remaining{What: what, Until: until})
	}
	if !r.reached(Removed) {
		add(eventstore.RemainsSkeleton, time.Time{})
	}
	refused := r.Stages[Shredded].Add(refusalLife)
	if !r.RefusedUntil.IsZero() { // its key goes with the month
		refused = time.Date(r.RefusedUntil.Year(), r.RefusedUntil.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	}
	if refused.After(now) {
		add(eventstore.RemainsRefusals, refused)
	}
	if s.c.BackupsUntil != nil {
		until, err := s.c.BackupsUntil(ctx, tenant)
		if err != nil {
			return nil, err
		}
		if until.After(now) {
			add(eventstore.RemainsBackups, until.UTC().Truncate(time.Millisecond))
		}
	}
	if r.partial() {
		add(eventstore.RemainsOthers, time.Time{})
	}
	add(eventstore.RemainsReleases, time.Time{})
	add(eventstore.RemainsLedger, time.Time{})
	add(eventstore.RemainsElsewhere, time.Time{})
	return out, nil
}
