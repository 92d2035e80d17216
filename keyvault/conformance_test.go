package keyvault_test

import (
	"testing"

	"github.com/oubli-store/oubli/eventstore/keystest"
	"github.com/oubli-store/oubli/keyvault"
)

func TestConformance(t *testing.T) {
	keystest.Run(t, func(t *testing.T) keystest.Vault { return openVault(t, keyvault.Config{}) })
}

// openVault makes a vault in a new directory, closed when the test ends. c needs what differs only.
func openVault(t testing.TB, c keyvault.Config) *keyvault.Vault {
	t.Helper()
	if c.Dir == "" {
		dir := t.TempDir()
		c.Dir, c.Roots, c.KEKFile = dir+"/vault", dir+"/roots", dir+"/kek"
	}
	c.Create = true
	v, err := keyvault.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return v
}
