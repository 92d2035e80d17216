// Package fixture imports what the rule allows and what it does not.
package fixture

import (
	_ "github.com/oklog/ulid/v2"
	_ "github.com/oubli-store/oubli/eventstore/door"
	_ "github.com/oubli-store/oubli/eventstore/envelope"
	_ "github.com/oubli-store/oubli/eventstore/keystest"
)
