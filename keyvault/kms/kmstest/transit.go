package kmstest

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
)

const token = "hvs.the-token-of-the-test"

// transit is a fake of a Vault's transit engine, with the keys "oubli" and "other".
type transit struct{ mode atomic.Int32 }

func refuse(w http.ResponseWriter, status int, what string) {
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"errors": []string{what}})
}

func (f *transit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch Mode(f.mode.Load()) {
	case HangsUp:
		panic(http.ErrAbortHandler)
	case Failing:
		refuse(w, http.StatusServiceUnavailable, "Vault is sealed")
		return
	}
	if r.Header.Get("X-Vault-Token") != token {
		refuse(w, http.StatusForbidden, "permission denied")
		return
	}
	parts := strings.Split(r.URL.Path, "/") // /v1/transit/encrypt/oubli
	if len(parts) != 5 || parts[1] != "v1" || parts[2] != "transit" {
		refuse(w, http.StatusNotFound, "no handler for route")
		return
	}
	keys := map[string][]byte{"oubli": []byte("0123456789abcdef0123456789abcdef"), "other": []byte("fedcba9876543210fedcba9876543210")}
	if keys[parts[4]] == nil {
		refuse(w, http.StatusBadRequest, "encryption key not found")
		return
	}
	key, err := subtle.NewAESGCM(keys[parts[4]])
	if err != nil {
		panic(err)
	}
	var q map[string]string
	if json.NewDecoder(r.Body).Decode(&q) != nil {
		refuse(w, http.StatusBadRequest, "error parsing JSON")
		return
	}
	associated, err := base64.StdEncoding.DecodeString(q["associated_data"])
	if err != nil {
		refuse(w, http.StatusBadRequest, "failed to base64-decode associated_data")
		return
	}
	answer := map[string]string{}
	switch parts[3] {
	case "encrypt":
		plain, err := base64.StdEncoding.DecodeString(q["plaintext"])
		if err != nil {
			refuse(w, http.StatusBadRequest, "failed to base64-decode plaintext")
			return
		}
		sealed, err := key.Encrypt(plain, associated)
		if err != nil {
			panic(err)
		}
		answer["ciphertext"] = "vault:v1:" + base64.StdEncoding.EncodeToString(sealed)
	case "decrypt":
		sealed, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(q["ciphertext"], "vault:v1:"))
		if err == nil {
			sealed, err = key.Decrypt(sealed, associated)
		}
		if err != nil {
			refuse(w, http.StatusBadRequest, "cipher: message authentication failed")
			return
		}
		answer["plaintext"] = base64.StdEncoding.EncodeToString(sealed)
	}
	json.NewEncoder(w).Encode(map[string]any{"data": answer})
}

// StartTransit starts a fake of a HashiCorp Vault's transit engine on loopback, with TLS, until the test ends, and sets the environment for it. It
// leaves out the client.
func StartTransit(t *testing.T) Service {
	f := &transit{}
	s := httptest.NewTLSServer(f)
	t.Cleanup(s.Close)
	t.Setenv("VAULT_TOKEN", token)
	t.Setenv("VAULT_NAMESPACE", "")
	t.Setenv("VAULT_MAX_RETRIES", "0")
	t.Setenv("VAULT_CACERT_BYTES", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	at := "hcvault://" + strings.TrimPrefix(s.URL, "https://") + "/transit/keys/"
	return Service{URI: at + "oubli", Other: at + "other", Missing: at + "missing",
		Mode: func(m Mode) { f.mode.Store(int32(m)) }, Credentials: map[string]string{"VAULT_TOKEN": token}}
}
