package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"io"
	"strings"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/secret"
)

const (
	prefix     = "oubli"
	idBytes    = 10 // 16 characters
	secretSize = 32 // 52 characters
	sumBytes   = 5  // 8 characters, so that they are whole
)

var letters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// parsed is what the text of a token says.
type parsed struct {
	tenant eventstore.TenantID
	id     eventstore.TokenID
	hash   [sha256.Size]byte
}

// write makes the text of a token.
func write(tenant eventstore.TenantID, id eventstore.TokenID, random []byte) secret.Bytes {
	text := prefix + "_" + string(tenant) + "_" + string(id) + "_" + letters.EncodeToString(random)
	return secret.New([]byte(text + sum(text)))
}

// sum lets a mistyped or cut token be told from an unknown one without a server. It protects nothing.
func sum(text string) string {
	h := sha256.Sum256([]byte("oubli token checksum\x00" + text))
	return letters.EncodeToString(h[:sumBytes])
}

// parse takes the text of a token apart.
func parse(text string) (parsed, bool) {
	if len(text) > 256 {
		return parsed{}, false
	}
	cut := len(text) - letters.EncodedLen(sumBytes)
	parts := strings.Split(text, "_")
	if cut < 0 || len(parts) != 4 || parts[0] != prefix {
		return parsed{}, false
	}
	tenant, err := eventstore.ParseTenantID(parts[1])
	if err != nil || !isID(parts[2]) || len(parts[3]) != letters.EncodedLen(secretSize)+letters.EncodedLen(sumBytes) {
		return parsed{}, false
	}
	if subtle.ConstantTimeCompare([]byte(sum(text[:cut])), []byte(text[cut:])) != 1 {
		return parsed{}, false
	}
	random, err := letters.DecodeString(parts[3][:letters.EncodedLen(secretSize)])
	if err != nil || len(random) != secretSize {
		return parsed{}, false
	}
	return parsed{tenant: tenant, id: eventstore.TokenID(parts[2]), hash: digest(random)}, true
}

// digest is what is stored of a secret. It is random, 256 bits long, so a plain hash cannot be searched.
func digest(random []byte) [sha256.Size]byte { return sha256.Sum256(random) }

func isID(s string) bool {
	if len(s) != letters.EncodedLen(idBytes) {
		return false
	}
	_, err := letters.DecodeString(s)
	return err == nil
}

// WellFormed says whether text can be a token at all: its parts and its checksum are right. It needs no server, so a command can
// tell a typing error from a refusal.
func WellFormed(text string) bool {
	_, ok := parse(text)
	return ok
}

func newID(entropy io.Reader) (eventstore.TokenID, error) {
	b := make([]byte, idBytes)
	if _, err := io.ReadFull(entropy, b); err != nil {
		return "", err
	}
	return eventstore.TokenID(letters.EncodeToString(b)), nil
}
