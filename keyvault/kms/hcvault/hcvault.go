// Package hcvault reaches a key-encryption key in the transit engine of a HashiCorp Vault (or OpenBao, which speaks the same API).
//
//	hcvault://vault.example.com:8200/transit/keys/oubli
//
// The Vault is reached over TLS at the host of the URI, and nowhere else: VAULT_ADDR and VAULT_AGENT_ADDR do not count. The token is VAULT_TOKEN; VAULT_NAMESPACE, VAULT_CACERT,
// VAULT_CAPATH, VAULT_CLIENT_CERT, VAULT_CLIENT_KEY, VAULT_TLS_SERVER_NAME, VAULT_CLIENT_TIMEOUT and VAULT_MAX_RETRIES mean what they mean to the
// vault command. A token within the URI is refused. The token needs "update" on MOUNT/encrypt/NAME (when a vault is made or its KEK rotated) and on
// MOUNT/decrypt/NAME (at every start).
//
// The key must be of a type that authenticates (the default, aes256-gcm96, is). Oubli's associated data goes along as associated_data; an old
// Vault that does not know that field ignores it, which weakens nothing here: what the register key opens is bound to its vault as well.
//
// # Promises
//
// A call ends within a minute (15 seconds a try, two more tries), or as VAULT_CLIENT_TIMEOUT and VAULT_MAX_RETRIES say. An error that is about the service, and not the
// key or the ciphertext, matches register.ErrKMS. No error holds the token.
package hcvault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/tink-crypto/tink-go-hcvault/v2/integration/hcvault"
	"github.com/tink-crypto/tink-go/v2/core/registry"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/oubli-store/oubli/keyvault/register"
)

// Scheme begins the URI of a key in a Vault.
const Scheme = "hcvault://"

// tryWithin bounds one try, unless VAULT_CLIENT_TIMEOUT does.
const tryWithin = 15 * time.Second

// Client finds keys in Vaults. See the package comment.
type Client struct{}

var _ registry.KMSClient = Client{}

// Supported implements [registry.KMSClient].
func (Client) Supported(uri string) bool { return strings.HasPrefix(uri, Scheme) }

// Check says what is wrong with a URI, without repeating it.
func Check(uri string) error {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "hcvault" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("the URI must be hcvault://HOST[:PORT]/MOUNT/keys/NAME, without a user, a query or a fragment")
	}
	parts := strings.Split(u.EscapedPath(), "/")
	if n := len(parts); n < 4 || parts[n-2] != "keys" || parts[n-1] == "" || parts[1] == "" {
		return errors.New("the path of the URI must be /MOUNT/keys/NAME")
	}
	return nil
}

// GetAEAD implements [registry.KMSClient]. It does not connect yet.
func (Client) GetAEAD(uri string) (tink.AEAD, error) {
	if err := Check(uri); err != nil {
		return nil, err
	}
	token := os.Getenv(api.EnvVaultToken)
	if token == "" {
		return nil, fmt.Errorf("%w: VAULT_TOKEN is not set", register.ErrKMS)
	}
	c := api.DefaultConfig()
	if c.Error != nil {
		return nil, fmt.Errorf("the VAULT_… variables of the environment: %w", c.Error)
	}
	u, err := url.Parse(uri)
	if err != nil {
		return nil, errors.New("the URI cannot be read")
	}
	c.Address, c.AgentAddress = "https://"+u.Host, ""
	if os.Getenv(api.EnvVaultClientTimeout) == "" {
		c.Timeout = tryWithin
	}
	client, err := api.NewClient(c)
	if err != nil {
		return nil, fmt.Errorf("the VAULT_… variables of the environment: %w", err)
	}
	client.SetToken(token)
	inner, err := hcvault.NewClientWithAEADOptions(Scheme+u.Host, client.Logical())
	if err != nil {
		return nil, err
	}
	a, err := inner.GetAEAD(uri)
	if err != nil {
		return nil, err
	}
	return aead{a, u.Host}, nil
}

// aead explains the errors of a key.
type aead struct {
	tink.AEAD
	host string
}

// Encrypt implements [tink.AEAD].
func (a aead) Encrypt(plaintext, associated []byte) ([]byte, error) {
	b, err := a.AEAD.Encrypt(plaintext, associated)
	return b, a.explain(err)
}

// Decrypt implements [tink.AEAD].
func (a aead) Decrypt(ciphertext, associated []byte) ([]byte, error) {
	b, err := a.AEAD.Decrypt(ciphertext, associated)
	return b, a.explain(err)
}

func (a aead) explain(err error) error {
	if err == nil {
		return nil
	}
	answer, ok := errors.AsType[*api.ResponseError](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: the Vault at %s does not answer in time", register.ErrKMS, a.host)
	case !ok:
		return fmt.Errorf("%w: the Vault at %s: %w", register.ErrKMS, a.host, err)
	case answer.StatusCode == http.StatusForbidden || answer.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("%w: the Vault at %s refuses the token of VAULT_TOKEN (it has ended, or lacks update on the key's encrypt and decrypt)", register.ErrKMS, a.host)
	case answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w: the Vault at %s has no transit engine at the URI's path (or it is in another VAULT_NAMESPACE)", register.ErrKMS, a.host)
	case answer.StatusCode == http.StatusBadRequest:
		// The key is not there, or it is not the one that wrapped.
		return fmt.Errorf("the Vault at %s refuses: there is no such key, or what it shall open was wrapped by another", a.host)
	}
	return fmt.Errorf("%w: the Vault at %s answers with status %d (sealed, on standby, or overloaded)", register.ErrKMS, a.host, answer.StatusCode)
}
