package keyvault

import (
	"encoding/binary"
	"io"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/secret"
)

// What was erased of a person is refused like an erased person's events, with a mark of its own: of a handle, and of the conversation if one
// was erased. Its row has the time before which an event is too old, which may lie far back, so it lives as long as its hour's key.

func partMark(key secret.Bytes, handle string, p eventstore.Refused) (m [16]byte) {
	h := newPRF(key, "oubli/refusal-part/1")
	for _, s := range []string{handle, string(p.Bot), string(p.Conversation)} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		io.WriteString(h, s)
	}
	copy(m[:], h.Sum(nil))
	return m
}

// refuseParts answers ErrErased for an arrival that belongs to an erased part; mu is held shared.
func (t *tenant) refuseParts(a eventstore.Arrival, handles []string) error {
	now, at := t.v.c.Now(), eventTime(a)
	for n, key := range t.own.refusals {
		if n.longer() || n.over(now) {
			continue
		}
		for _, h := range handles {
			for _, p := range []eventstore.Refused{{}, {Bot: a.Bot, Conversation: a.Conversation}} {
				b, err := rows{t.v.db}.Get(t.refusalRow(n, partMark(key, h, p)))
				if err != nil {
					return err
				}
				if len(b) == 8 && at.Before(time.UnixMilli(int64(binary.BigEndian.Uint64(b)))) {
					return eventstore.ErrErased
				}
			}
		}
	}
	return nil
}

// refusalsForParts puts the marks of erased parts into b and returns the tenant's keys as [tenant.refusalsFor] does.
func (t *tenant) refusalsForParts(b batch, todo map[eventstore.PersonID]succession) (next *tenantKeys, marks []refusal, err error) {
	if next, err = t.refusalKeys(b); err != nil {
		return nil, nil, err
	}
	hour := hourOf(t.v.c.Now())
	key, err := next.refusal(t.v.entropy, hour)
	if err != nil {
		return nil, nil, err
	}
	latest := map[[16]byte]int64{} // of one batch
	for _, s := range todo {
		if s.Refused.Before.IsZero() {
			continue
		}
		for _, id := range s.old.identities {
			m := partMark(key, handleOf(id), s.Refused)
			old, err := rows{t.v.db}.Get(t.refusalRow(hour, m))
			if err != nil {
				return nil, nil, err
			}
			at := max(s.Refused.Before.UnixMilli(), latest[m])
			if len(old) == 8 {
				at = max(at, int64(binary.BigEndian.Uint64(old)))
			}
			latest[m] = at
			marks = append(marks, refusal{hour, m, at})
			if err := b.Set(t.refusalRow(hour, m), binary.BigEndian.AppendUint64(nil, uint64(at))); err != nil {
				return nil, nil, err
			}
		}
	}
	return next, marks, nil
}

// refusalKeys is the tenant's keys without those of refusals that are over, for a change that will be committed with b.
func (t *tenant) refusalKeys(b batch) (*tenantKeys, error) {
	next := t.own.clone()
	return next, t.dropExpired(b, next, t.v.c.Now())
}

// refusal is the key of a term, drawn when the term has none.
func (k *tenantKeys) refusal(entropy io.Reader, n term) (secret.Bytes, error) {
	if key, ok := k.refusals[n]; ok {
		return key, nil
	}
	key, err := secret.Random(entropy, keySize)
	if err == nil {
		k.refusals[n] = key
	}
	return key, err
}
