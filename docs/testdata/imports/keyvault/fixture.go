package fixture

import (
	_ "github.com/cockroachdb/pebble/v2"
	_ "github.com/oubli-store/oubli/keyvault/tree"
	_ "github.com/oubli-store/oubli/streams"
)
