package hcvault

import (
	"strings"
	"testing"

	"github.com/oubli-store/oubli/keyvault/kms/kmstest"
)

func start(t *testing.T) kmstest.Service {
	s := kmstest.StartTransit(t)
	s.Client = Client{}
	// What the URI says counts, and not these.
	t.Setenv("VAULT_ADDR", "http://127.0.0.1:1")
	t.Setenv("VAULT_AGENT_ADDR", "http://127.0.0.1:1")
	return s
}

func TestService(t *testing.T) { kmstest.Test(t, start) }

// TestNotTrusted: a Vault whose certificate nobody vouches for is not given the token.
func TestNotTrusted(t *testing.T) {
	s := start(t)
	t.Setenv("VAULT_CACERT_BYTES", "")
	a, err := s.Client.GetAEAD(s.URI)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Encrypt([]byte("plain"), nil); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a stranger's certificate: %v", err)
	}
}

func TestCheck(t *testing.T) {
	for uri, good := range map[string]bool{
		"hcvault://vault.example:8200/transit/keys/oubli": true, "hcvault://[::1]/a/b/keys/k": true,
		"hcvault://SECRET:x@vault.example/transit/keys/k": false, "hcvault://vault.example/transit/keys/k?token=SECRET": false,
		"hcvault://vault.example/transit/keys/k#SECRET": false, "hcvault:///transit/keys/k": false, "hcvault://vault.example/transit/SECRET": false,
		"hcvault://vault.example/transit/keys/": false, "hcvault://vault.example//keys/k": false, "https://vault.example/transit/keys/k": false,
	} {
		err := Check(uri)
		if (err == nil) != good || err != nil && strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", uri, err)
		}
		if !good {
			if _, err := (Client{}).GetAEAD(uri); err == nil {
				t.Errorf("%s was accepted", uri)
			}
		}
	}
}
