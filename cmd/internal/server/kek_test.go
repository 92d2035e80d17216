package server

import (
	"errors"
	"strings"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/kms/kmstest"
	"github.com/oubli-store/oubli/keyvault/register"
)

// TestKMSOutage: with its key in a KMS, a server that runs erases while the KMS is away, and one that starts says what is missing.
func TestKMSOutage(t *testing.T) {
	vault := kmstest.StartTransit(t)
	c := config(t.TempDir())
	c.KEK = vault.URI
	w := begin(t, c)
	bot := w.token(`{"roles":["bot"],"bot":"shop"}`)
	alice, bob := w.says(bot, "alice@example.com", "one"), w.says(bot, "bob@example.com", "two")
	vault.Mode(kmstest.HangsUp)
	if status, answer := w.ask("POST", "/v1/persons/"+alice+"/erase", w.admin, `{"reason":"person-request"}`); status != 200 || !strings.Contains(answer, "shredded") {
		t.Errorf("an erasure without the KMS: %d %s", status, answer)
	}
	w.says(bot, "carol@example.com", "three")
	w.end()
	_, err := Start(t.Context(), c)
	if !errors.Is(err, register.ErrKMS) || errors.Is(err, eventstore.ErrDamaged) || strings.Contains(err.Error(), vault.Credentials["VAULT_TOKEN"]) {
		t.Errorf("a start without the KMS: %v", err)
	}
	vault.Mode(kmstest.Up)
	for _, uri := range []string{vault.Other, ""} { // with an empty one the local file is meant, and it is not there
		wrong := c
		wrong.KEK = uri
		if _, err := Start(t.Context(), wrong); err == nil || uri != "" && !errors.Is(err, register.ErrKEK) {
			t.Errorf("a start with another key: %v", err)
		}
	}
	w = begin(t, c)
	if status, _ := w.ask("GET", "/v1/persons/"+alice+"/events", w.admin, ""); status != 410 {
		t.Errorf("the erased person: %d", status)
	}
	w.want(200, "GET", "/v1/persons/"+bob, w.admin, "")
}
