// Package fixture imports what the rule allows and what it does not.
package fixture

import (
	_ "github.com/cockroachdb/pebble/v2"
	_ "github.com/oubli-store/oubli/keyvault/tree"
	_ "github.com/oubli-store/oubli/streams"
)
