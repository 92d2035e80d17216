package projections

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/activity"
	"github.com/oubli-store/oubli/projections/feedback"
	"github.com/oubli-store/oubli/projections/intents"
	"github.com/oubli-store/oubli/projections/latency"
	"github.com/oubli-store/oubli/projections/outcomes"
	"github.com/oubli-store/oubli/projections/paths"
	"github.com/oubli-store/oubli/projections/readmodel"
	"github.com/oubli-store/oubli/projections/utterances"
)

// models are the registered read models.
var models = []*readmodel.Model{
	activity.Model,
	intents.Model,
	outcomes.Model,
	latency.Model,
	feedback.Model,
	paths.Model,
	utterances.Model,
}

// errNoProjection names what exists: a problem's text can only be a constant.
var errNoProjection = eventstore.Refuse(eventstore.KindNotFound, "projection",
	"there is no such projection; there are: activity, intents, outcomes, latency, feedback, paths, utterances")

// Models lists the registered read models, in the order of the dictionary.
func Models() []*readmodel.Model { return slices.Clone(models) }

func modelNamed(name string) (*readmodel.Model, error) {
	for _, m := range models {
		if m.Name == name {
			return m, nil
		}
	}
	return nil, errNoProjection
}

// rowsVersion is raised when rows are laid out otherwise; they are then made anew from the stream.
const rowsVersion = 3

// fingerprint changes when what is stored would be counted or laid out otherwise.
func fingerprint(models []*readmodel.Model) string {
	var b strings.Builder
	fmt.Fprintf(&b, "rows/%d ", rowsVersion)
	for _, m := range models {
		fmt.Fprintf(&b, "%d/%s/%d ", m.ID, m.Name, m.Version)
	}
	return strings.TrimSpace(b.String())
}
