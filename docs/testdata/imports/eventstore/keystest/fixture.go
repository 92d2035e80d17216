package fixture

import (
	_ "github.com/oubli-store/oubli/eventstore"
)
