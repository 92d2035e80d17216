// Package fixture imports what the rule allows and what it does not.
package fixture

import (
	_ "github.com/oubli-store/oubli/eventstore"
	_ "github.com/oubli-store/oubli/keyvault/secret"
)
