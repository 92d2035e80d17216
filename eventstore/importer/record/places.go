package record

import (
	"regexp"
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"

	"github.com/oubli-store/oubli/eventstore"
)

var (
	errZone   = eventstore.Refuse(eventstore.KindInvalid, "zone", "there is no such time zone; name one as in Europe/Paris")
	errRegion = eventstore.Refuse(eventstore.KindInvalid, "region", "there is no such country; two letters are expected, as in FR")
	errHeader = eventstore.Refuse(eventstore.KindInvalid, "header", "this is no name of a header; letters, digits and hyphens are expected")
)

// Zone finds a time zone by its name in the time zone database; an empty name is UTC.
func Zone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || zone == time.Local {
		return nil, errZone
	}
	return zone, nil
}

var headerName = regexp.MustCompile(`^[A-Za-z0-9-]{0,64}$`)

// Check refuses a region that is none and names that no header can have.
func (o *Options) Check() error {
	if o.Region != "" && phonenumbers.GetCountryCodeForRegion(strings.ToUpper(o.Region)) == 0 {
		return errRegion
	}
	if !headerName.MatchString(o.StatusHeader) || !headerName.MatchString(o.ApproverHeader) {
		return errHeader
	}
	return nil
}

// National reads a phone number as it is dialled in a country, or in international form, as E.164. It is not ok for what the
// country's plan does not know.
func National(region, number string) (e164 string, ok bool) {
	n, err := phonenumbers.Parse(number, strings.ToUpper(region))
	if err != nil || !phonenumbers.IsValidNumber(n) || n.GetExtension() != "" {
		return "", false
	}
	return phonenumbers.Format(n, phonenumbers.E164), true
}
