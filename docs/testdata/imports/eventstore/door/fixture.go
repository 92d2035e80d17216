package fixture

import (
	_ "github.com/oubli-store/oubli/eventstore"
	_ "github.com/oubli-store/oubli/eventstore/rights"
)
