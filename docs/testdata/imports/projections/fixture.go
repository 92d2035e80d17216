// Package fixture imports what the rule allows and what it does not.
package fixture

import (
	_ "github.com/nats-io/nats.go"
	_ "github.com/oubli-store/oubli/projections/release"
)
