package projections

import "github.com/oubli-store/oubli/projections/release"

// keptRows bounds how many rows of releases a tenant keeps in memory, so that they need not be read and decoded again: they never change.
const keptRows = 200_000

// kept are releases as they were last read. It is used under the tenant's lock.
type kept struct {
	releases map[released]release.Release
	rows     int
}

// put keeps a release; when there is no more room everything kept before goes.
func (k *kept) put(key released, r release.Release) {
	if k.releases == nil || k.rows+len(r.Rows) > keptRows {
		*k = kept{releases: map[released]release.Release{}}
	}
	k.releases[key] = r
	k.rows += len(r.Rows) + 1
}
