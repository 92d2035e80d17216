// Package fixture imports what the rule allows and what it does not.
package fixture

import (
	_ "github.com/nats-io/nats.go/jetstream"
	_ "github.com/tink-crypto/tink-go/v2/aead/subtle"
)
