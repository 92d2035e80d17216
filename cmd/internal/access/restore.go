package access

import (
	"context"
	"crypto/sha256"

	"github.com/oubli-store/oubli/eventstore"
)

// Mark names an access token in the ledger's entries about it, so that a restore knows which was ended.
func Mark(id eventstore.TokenID) []byte {
	sum := sha256.Sum256([]byte("oubli/token/1\x00" + id))
	return sum[:16]
}

// WriteAdmin makes a new access token of the instance with the role admin alone, in a file that must not be there yet. The file is written before the row.
func (a *Tokens) WriteAdmin(ctx context.Context, path string) (Token, error) {
	t, err := a.check(eventstore.DefaultTenant, Token{Roles: []eventstore.Role{eventstore.RoleAdmin}, Instance: true})
	if err != nil {
		return Token{}, err
	}
	text, err := createToken(path)
	if err != nil {
		return Token{}, err
	}
	defer text.Wipe()
	p, ok := parse(string(text.Reveal()))
	if !ok {
		panic("access: a token that was drawn cannot be read")
	}
	t.ID = p.id
	return t, a.insert(ctx, row{t, p.hash})
}
