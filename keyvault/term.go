package keyvault

import (
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// term says which refusals share a key: those of one hour of erasures (hours since 1970), or the longer ones that end in one month (longTerm
// and months since January 1970). The key is shredded when all of them are over, so that nobody can test a guessed handle afterwards.
type term uint64

const longTerm term = 1 << 63

func hourOf(t time.Time) term { return term(t.Unix() / 3600) }

// monthOf is the term of the longer refusals that end in the month of t.
func monthOf(t time.Time) term { return longTerm | term(eventstore.KeyMonthOf(t, t)) }

func (n term) longer() bool { return n&longTerm != 0 }

// over says whether every refusal of the term has run out.
func (n term) over(now time.Time) bool {
	if n.longer() {
		return !now.Before(eventstore.KeyMonth(n &^ longTerm).End())
	}
	return now.Sub(time.Unix(int64(n+1)*3600, 0)) >= eventstore.RefusedFor
}
