// Package fixture imports what the rule allows and what it does not.
package fixture

import (
	_ "github.com/oubli-store/oubli/cmd/internal/api"
	_ "github.com/oubli-store/oubli/keyvault"
)
