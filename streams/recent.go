package streams

// generations is how many generations of rows are kept in memory after they are in the index.
const generations = 16

// recent holds the idempotency rows of the last groups. A caller looks its row up in the index before it queues, in parallel with others; the
// writer then needs only what came after that: the rows of generations above the one the caller saw, and those not in the index yet.
type recent struct {
	rows map[row]recentRow
	ring [generations][]row
}

type recentRow struct{ sequence, generation uint64 }

func (r *recent) find(key *row) uint64 { return r.rows[*key].sequence }

// add notes a row that will be in the index as of the given generation.
func (r *recent) add(key *row, sequence, generation uint64) {
	if r.rows == nil {
		r.rows = map[row]recentRow{}
	}
	r.rows[*key] = recentRow{sequence, generation}
	at := &r.ring[generation%generations]
	*at = append(*at, *key)
}

// drop takes back rows of a group that is not stored.
func (r *recent) drop(rows []rowAt) {
	for i := range rows {
		delete(r.rows, rows[i].row)
	}
}

// applied says that the index has taken the given generation. The oldest one is dropped, to make room: groups are at most two generations ahead.
func (r *recent) applied(generation uint64) {
	generation += 3
	at := &r.ring[generation%generations]
	for i := range *at {
		if old, ok := r.rows[(*at)[i]]; ok && old.generation+generations == generation {
			delete(r.rows, (*at)[i])
		}
	}
	*at = (*at)[:0]
}

// wipe forgets the rows under the prefixes.
func (r *recent) wipe(prefixes [][8]byte) {
	for key := range r.rows {
		for _, p := range prefixes {
			if [8]byte(key[:8]) == p {
				delete(r.rows, key)
			}
		}
	}
}
