package kms

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/oubli-store/oubli/keyvault/register"
)

// TestClients: each client serves its own scheme, and a local key is not among them.
func TestClients(t *testing.T) {
	for uri, want := range map[string]struct{ supported, good bool }{
		"hcvault://vault.example/transit/keys/k":                {true, true},
		"aws-kms://arn:aws:kms:eu-west-3:111122223333:key/1234": {true, true},
		"hcvault://vault.example/k":                             {true, false},
		"file:///kek":                                           {false, true},
		"gcp-kms://k":                                           {false, true},
	} {
		supported, err := Check(uri)
		if supported != want.supported || (err == nil) != want.good {
			t.Errorf("Check(%s): %t, %v", uri, supported, err)
		}
		clients := 0
		for _, c := range Clients() {
			if c.Supported(uri) {
				clients++
			}
		}
		if clients > 1 || (clients == 1) != want.supported {
			t.Errorf("%d clients serve %s", clients, uri)
		}
		if !supported && uri != "file:///kek" {
			if _, err := register.KEK(nil, uri, Clients()...); err == nil {
				t.Errorf("%s has a key", uri)
			}
		}
	}
}

// TestCoreIsLight: who embeds the key vault carries no client of a service.
func TestCoreIsLight(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "github.com/oubli-store/oubli/keyvault").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "/keyvault/register\n") {
		t.Fatal("the list of imports is not one")
	}
	for _, heavy := range []string{"hashicorp", "aws-sdk", "/keyvault/kms", "tink-go-"} {
		if strings.Contains(string(out), heavy) {
			t.Errorf("keyvault imports %s", heavy)
		}
	}
}
