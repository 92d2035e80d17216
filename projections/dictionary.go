package projections

import (
	"context"
	"fmt"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
	"github.com/oubli-store/oubli/projections/tabular"
)

// The columns that every table has beside its model's.
const (
	columnPeriod = "period"
	columnStatus = "status"
	columnStarts = "starts"

	statusProvisional = "provisional"
	statusReleased    = "released"
)

// Table is one entry of the dictionary.
type Table struct {
	Name      string   `json:"name"`
	Meaning   string   `json:"meaning"`
	MeaningFR string   `json:"meaning_fr"`
	Columns   []Column `json:"columns"`
}

// Dictionary lists every table with its columns, types and meanings, and by what the tenant's figures are made.
type Dictionary struct {
	Parameters
	Tables []Table `json:"tables"`
}

// Dictionary is a tenant's dictionary.
func (p *Projections) Dictionary(ctx context.Context, id eventstore.TenantID) (Dictionary, error) {
	t, err := p.tenant(ctx, id)
	if err != nil {
		return Dictionary{}, err
	}
	s, err := p.settings(id)
	if err != nil {
		return Dictionary{}, err
	}
	return Dictionary{Parameters: parameters(s, t.zoneName()), Tables: tables(p.models)}, nil
}

func tables(models []*readmodel.Model) []Table {
	out := make([]Table, len(models))
	for i, m := range models {
		out[i] = Table{Name: m.Name, Meaning: m.Meaning.EN, MeaningFR: m.Meaning.FR, Columns: columns(m)}
	}
	return out
}

// columns are those of a model's rows, in order: the period, the dimensions, the persons, each measure with its percentiles, the status, the first day.
func columns(m *readmodel.Model) []Column {
	out := []Column{{Name: columnPeriod, Type: tabular.String,
		Meaning:   "the day (2026-11-22), ISO week (2026-W47) or month (2026-11), in the tenant's time zone",
		MeaningFR: "le jour (2026-11-22), la semaine ISO (2026-W47) ou le mois (2026-11), dans le fuseau horaire du locataire"}}
	for _, d := range m.Dimensions {
		out = append(out, Column{Name: d.Name, Type: tabular.String,
			Meaning:   d.Meaning.EN + "; (none) if there was none, (other) for what is not told one by one",
			MeaningFR: d.Meaning.FR + " ; (none) s'il n'y en avait pas, (other) pour ce qui n'est pas dit un par un"})
	}
	out = append(out, Column{Name: readmodel.DistinctPersons.Name, Type: tabular.Integer, Unit: "persons",
		Meaning:   readmodel.DistinctPersons.Meaning.EN + "; null where only the days have figures",
		MeaningFR: readmodel.DistinctPersons.Meaning.FR + " ; null là où seuls les jours ont des chiffres"})
	counters := m.Counters()
	for i := range m.Measures {
		measure := &m.Measures[i]
		for _, c := range counters[:measure.Width()] {
			group := ""
			if len(measure.Buckets) > 0 {
				group = measure.Name
			}
			out = append(out, Column{Name: c.Name, Type: tabular.Integer, Unit: "count", Group: group,
				Meaning:   c.Meaning.EN + "; for weeks and months the sum of their published days, null if none was published",
				MeaningFR: c.Meaning.FR + " ; pour les semaines et les mois, la somme de leurs jours publiés, null si aucun ne l'est"})
		}
		counters = counters[measure.Width():]
		for _, percent := range measure.Percentiles {
			out = append(out, percentileColumn(measure, percent))
		}
	}
	return append(out,
		Column{Name: columnStatus, Type: tabular.String, Meaning: "provisional until the period is closed, then released",
			MeaningFR: "provisional tant que la période n'est pas close, puis released"},
		Column{Name: columnStarts, Type: tabular.Date, Meaning: "the first day of the period", MeaningFR: "le premier jour de la période"})
}

func percentileColumn(m *readmodel.Measure, percent int) Column {
	return Column{Name: fmt.Sprintf("%s_p%d", m.Name, percent), Type: tabular.Number, Unit: m.Unit,
		Meaning:   fmt.Sprintf("%s: %d %% are at most this, read from the histogram; it does not add up; null if nothing was counted or it lies in the last bucket", m.Meaning.EN, percent),
		MeaningFR: fmt.Sprintf("%s : %d %% valent au plus ceci, lu dans l'histogramme ; ne s'additionne pas ; null si rien n'a été compté ou si c'est dans la dernière tranche", m.Meaning.FR, percent)}
}
