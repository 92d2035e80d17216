package rights

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/oubli-store/oubli/eventstore"
)

// row is an erasure as it is stored in TableErasures under its id.
type row struct {
	Erasure
	Actor   Actor  `json:"actor"`
	Subject []byte `json:"subject,omitempty"`
	// Register is the id of the request of the register that it carries out, if it does.
	Register string `json:"register,omitempty"`
	// Led are the persons that lead here: all of Persons, but for those that joined and were in another erasure already.
	Led []eventstore.PersonID `json:"led"`
	// References are those that the ledger entry names.
	References []eventstore.LedgerReference `json:"references"`
	// Entry is the number of the ledger entry, 0 before there is one, and Entered how many references it names.
	Entry   uint64 `json:"entry,omitempty"`
	Entered int    `json:"entered,omitempty"`
	// Members is what Fence returned.
	Members []eventstore.Member `json:"members,omitempty"`
	// Announced is the sequence of the person event; 0 before there is one.
	Announced uint64 `json:"announced,omitempty"`
	// Of the erasure of a part: Cutoff is the instant before which a scope that is a day takes everything; First the sequence from which the copies
	// stand, Prefixes those of the copies' idempotency rows, both 0 or empty before there can be copies; Copied says that all copies are there.
	Cutoff   time.Time `json:"cutoff,omitzero"`
	First    uint64    `json:"first,omitempty"`
	Prefixes [][8]byte `json:"prefixes,omitempty"`
	Copied   bool      `json:"copied,omitempty"`
	// Attachments are those that went with an erased part.
	Attachments []eventstore.Attachment `json:"attachments,omitempty"`
	// Again says that a restore carries out what the ledger has long recorded: there is no new entry.
	Again bool `json:"again,omitempty"`
	// Refused says that a legal hold came in between, or that somebody who was thought to be silent spoke.
	Refused bool `json:"refused,omitempty"`
	// Silent: it is an erasure of persons of whom retention left nothing, and must not take anybody who has a data key by then.
	Silent bool `json:"silent,omitempty"`
}

// reached says whether a stage is behind.
func (r *row) reached(s Stage) bool { _, ok := r.Stages[s]; return ok }

// answer copies what callers may have.
func (r *row) answer() Erasure {
	e := r.Erasure
	e.Persons, e.Stages = slices.Clone(e.Persons), maps.Clone(e.Stages)
	return e
}

// noteSuffix ends the key of the row, beside the erasure's, that holds its note and ticket.
const noteSuffix = "/note"

// note is what a request said in words, sealed apart so that it can expire.
type note struct {
	Note    string    `json:"note,omitempty"`
	Ticket  string    `json:"ticket,omitempty"`
	Salt    []byte    `json:"salt"`
	Expires time.Time `json:"expires"`
}

// hash is what the ledger gets of a ticket: nobody can test a guess without the salt, which goes with the note.
func (n note) hash() []byte {
	if n.Ticket == "" {
		return nil
	}
	h := hmac.New(sha256.New, n.Salt)
	h.Write([]byte("oubli ticket\x00" + n.Ticket))
	return h.Sum(nil)
}

// saveNote keeps what a request says in words and returns the hash for the ledger.
func (s *Service) saveNote(ctx context.Context, tenant eventstore.TenantID, id string, r Request) ([]byte, error) {
	if r.Note == "" && r.Ticket == "" {
		return nil, nil
	}
	n := note{Note: r.Note, Ticket: r.Ticket, Salt: make([]byte, 16), Expires: s.now().Add(s.c.NoteLife)}
	rand.Read(n.Salt)
	return n.hash(), s.put(ctx, tenant, id+noteSuffix, n)
}

func (s *Service) put(ctx context.Context, tenant eventstore.TenantID, key string, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.c.Meta.Put(ctx, tenant, eventstore.TableErasures, key, value)
}

func decode[T any](value []byte) (v T, err error) {
	if json.Unmarshal(value, &v) != nil {
		return v, fmt.Errorf("%w: a row of the register of erasures cannot be read", eventstore.ErrDamaged)
	}
	return v, nil
}

// rows reads all erasures of a tenant, oldest first, and the notes by erasure id.
func (s *Service) rows(ctx context.Context, tenant eventstore.TenantID) ([]row, map[string]note, error) {
	values, err := s.c.Meta.List(ctx, tenant, eventstore.TableErasures)
	if err != nil {
		return nil, nil, err
	}
	var out []row
	notes := map[string]note{}
	for key, value := range values {
		if id, ok := strings.CutSuffix(key, noteSuffix); ok {
			if notes[id], err = decode[note](value); err != nil {
				return nil, nil, err
			}
			continue
		}
		r, err := decode[row](value)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b row) int { return strings.Compare(a.ID, b.ID) }) // a ULID begins with its time
	return out, notes, nil
}

const (
	maxNote   = 4096
	maxTicket = 256
)

func checkRequest(r Request) (Request, error) {
	reasons := []eventstore.Reason{
		eventstore.ReasonPersonRequest, eventstore.ReasonConsentWithdrawn, eventstore.ReasonRetention,
		eventstore.ReasonCourtOrder, eventstore.ReasonOther,
	}
	if err := r.Scope.Check(); err != nil {
		return r, err
	}
	switch {
	case !slices.Contains(reasons, r.Reason):
		return r, eventstore.Refuse(eventstore.KindInvalid, "reason",
			"a reason is one of person-request, consent-withdrawn, retention, court-order, other")
	case r.RefuseFor > 0 && !r.Scope.All():
		return r, eventstore.Refuse(eventstore.KindInvalid, "refuse_for", "a longer refusal is for the erasure of a whole person")
	case r.RefuseFor < 0 || r.RefuseFor > eventstore.MaxRefusal:
		return r, errRefuseFor
	case len(r.Note) > maxNote || !utf8.ValidString(r.Note):
		return r, eventstore.Refuse(eventstore.KindInvalid, "note", "a note is UTF-8 of at most 4096 bytes")
	case len(r.Ticket) > maxTicket || !utf8.ValidString(r.Ticket):
		return r, eventstore.Refuse(eventstore.KindInvalid, "ticket", "a ticket is UTF-8 of at most 256 bytes")
	}
	return r, nil
}

// Erasures lists the tenant's erasures, newest first.
func (s *Service) Erasures(ctx context.Context, tenant eventstore.TenantID) ([]Erasure, error) {
	return s.erasures(ctx, tenant, func(string, map[string]note) bool { return true })
}

// ByTicket lists the erasures asked for under a ticket whose note has not expired, newest first.
func (s *Service) ByTicket(ctx context.Context, tenant eventstore.TenantID, ticket string) ([]Erasure, error) {
	now := s.now()
	return s.erasures(ctx, tenant, func(id string, notes map[string]note) bool {
		return ticket != "" && notes[id].Ticket == ticket && now.Before(notes[id].Expires)
	})
}

func (s *Service) erasures(ctx context.Context, tenant eventstore.TenantID, want func(string, map[string]note) bool) ([]Erasure, error) {
	rows, notes, err := s.rows(ctx, tenant)
	if err != nil {
		return nil, err
	}
	out := []Erasure{}
	for _, r := range slices.Backward(rows) {
		if !r.Refused && want(r.ID, notes) {
			out = append(out, r.answer())
		}
	}
	return out, nil
}

// Erasure finds one erasure by its id. ErrNotFound.
func (s *Service) Erasure(ctx context.Context, tenant eventstore.TenantID, id string) (Erasure, error) {
	if strings.HasSuffix(id, noteSuffix) {
		return Erasure{}, eventstore.ErrNotFound
	}
	value, err := s.c.Meta.Get(ctx, tenant, eventstore.TableErasures, id)
	if err != nil {
		return Erasure{}, err
	}
	r, err := decode[row](value)
	if err == nil && r.Refused {
		err = eventstore.ErrNotFound
	}
	return r.answer(), err
}

// refusedUntil is what the ledger entry of an act says of the handles.
func (r *row) refusedUntil(act eventstore.Act) time.Time {
	if act != eventstore.ActErased {
		return time.Time{}
	}
	return r.RefusedUntil
}
