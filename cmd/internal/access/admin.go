package access

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/secret"
)

var errEveryRole = eventstore.Refuse(eventstore.KindConflict, "",
	"the admin token was made without --production and holds every role; start without --production, revoke it (oubli token revoke), move admin.token away, and start again")

// EnsureAdmin makes sure that the instance has an admin token in the default tenant and returns it; created says that the file at path is
// new. Without production the token has every role in default and speaks for any bot; with production only admin.
//
// Nothing is done when an instance token that is still accepted exists, whatever became of the file; with production it must not have more
// than the role admin (ErrConflict). Otherwise the file is written first
// (whole, mode 0600, never over another), then the row; so a crash in between leaves a file whose row the next start writes. A file that is there but
// cannot be used so (damaged, readable by others, revoked, expired) is refused with ErrConflict and left alone.
func (a *Tokens) EnsureAdmin(ctx context.Context, path string, production bool) (t Token, created bool, err error) {
	tokens, err := a.List(ctx, eventstore.DefaultTenant)
	if err != nil {
		return Token{}, false, err
	}
	for _, t := range tokens {
		if !t.Instance || !t.live(a.now()) {
			continue
		}
		if production && len(t.Roles) > 1 {
			return Token{}, false, errEveryRole
		}
		return t, false, nil
	}
	ask := Token{Roles: Roles(), Instance: true}
	if production {
		ask.Roles = []eventstore.Role{eventstore.RoleAdmin}
	}
	if t, err = a.check(eventstore.DefaultTenant, ask); err != nil {
		return Token{}, false, err
	}
	text, err := readToken(path)
	if errors.Is(err, fs.ErrNotExist) {
		created = true
		text, err = createToken(path)
	}
	if err != nil {
		return Token{}, false, err
	}
	defer text.Wipe()
	p, ok := parse(string(text.Reveal()))
	if !ok || p.tenant != eventstore.DefaultTenant {
		return Token{}, false, eventstore.Refuse(eventstore.KindConflict, "", "the admin token file does not hold a token of this instance; move it away to have a new one made")
	}
	t.ID = p.id
	if err := a.insert(ctx, row{t, p.hash}); errors.Is(err, eventstore.ErrConflict) {
		return Token{}, false, eventstore.Refuse(eventstore.KindConflict, "", "the token in the admin token file was revoked or has expired; move the file away to have a new one made")
	} else if err != nil {
		return Token{}, created, err
	}
	return t, created, nil
}

// readToken reads a token file that only its owner can read.
func readToken(path string) (secret.Bytes, error) {
	f, err := os.Open(path)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("reading the admin token file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("reading the admin token file: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return secret.Bytes{}, eventstore.Refuse(eventstore.KindConflict, "", "the admin token file must be a file that only its owner can read (mode 0600)")
	}
	b, err := io.ReadAll(io.LimitReader(f, 512))
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("reading the admin token file: %w", err)
	}
	return secret.New([]byte(strings.TrimSpace(string(b)))), nil
}

// createToken draws a token and writes it to a file that must not exist yet. The file appears whole or not at all.
func createToken(path string) (text secret.Bytes, err error) {
	id, err := newID(rand.Reader)
	if err != nil {
		return secret.Bytes{}, err
	}
	if text, _, err = draw(eventstore.DefaultTenant, id); err != nil {
		return secret.Bytes{}, err
	}
	defer func() {
		if err != nil {
			text.Wipe()
			text, err = secret.Bytes{}, fmt.Errorf("writing the admin token file: %w", err)
		}
	}()
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".admin.token-*") // O_EXCL and mode 0600
	if err != nil {
		return text, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text.Reveal())
	_, newline := f.WriteString("\n")
	if err = errors.Join(err, newline, f.Sync(), f.Close()); err != nil {
		return text, err
	}
	if err := os.Link(f.Name(), path); err != nil { // unlike a rename it fails if path exists
		return text, err
	}
	return text, syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
