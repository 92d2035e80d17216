package access

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := readToken(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text.Reveal())
}

func TestEnsureAdmin(t *testing.T) {
	for _, production := range []bool{false, true} {
		a, m, c := start(t)
		path := filepath.Join(t.TempDir(), "admin.token")
		made, created, err := a.EnsureAdmin(t.Context(), path, production)
		if err != nil || !created || !made.Instance {
			t.Fatalf("EnsureAdmin = %+v, %v, %v", made, created, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the file: %v, %v", info.Mode(), err)
		}
		text := readFile(t, path)
		got, err := a.Authenticate(t.Context(), text)
		if err != nil || !got.Has(eventstore.RoleAdmin) || got.Has(eventstore.RoleDPO) == production || got.Has(eventstore.RoleBot) == production || got.Caller().Bot != "" {
			t.Errorf("production %v: %+v, %v", production, got, err)
		}
		// Again, after a restart, and with the file gone: the same token.
		again, created, err := New(m, c.now).EnsureAdmin(t.Context(), path, production)
		if err != nil || created || again.ID != made.ID {
			t.Errorf("again: %+v, %v, %v", again, created, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if _, created, err := a.EnsureAdmin(t.Context(), path, production); err != nil || created {
			t.Errorf("with the file gone: %v, %v", created, err)
		}
	}
}

// TestEnsureAdminOfEveryRole: a token made without --production does not live on with it; once it is revoked and its file is gone, another is made.
func TestEnsureAdminOfEveryRole(t *testing.T) {
	a, _, _ := start(t)
	path := filepath.Join(t.TempDir(), "admin.token")
	made, _, err := a.EnsureAdmin(t.Context(), path, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.EnsureAdmin(t.Context(), path, true); !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("with production: %v, want ErrConflict", err)
	}
	if err := errors.Join(a.Revoke(t.Context(), eventstore.DefaultTenant, made.ID), os.Remove(path)); err != nil {
		t.Fatal(err)
	}
	other, created, err := a.EnsureAdmin(t.Context(), path, true)
	if err != nil || !created || other.ID == made.ID || len(other.Roles) != 1 {
		t.Errorf("after it was revoked: %+v, %v, %v", other, created, err)
	}
}

// A crash between the file and the row leaves a file whose row the next start writes.
func TestEnsureAdminAfterCrash(t *testing.T) {
	a, m, _ := start(t)
	path := filepath.Join(t.TempDir(), "admin.token")
	if _, err := createToken(path); err != nil {
		t.Fatal(err)
	}
	text := readFile(t, path)
	refused(t, a, "a token without a row", text)
	if _, created, err := a.EnsureAdmin(t.Context(), path, false); err != nil || created {
		t.Fatalf("%v, %v", created, err)
	}
	if got, err := a.Authenticate(t.Context(), text); err != nil || !got.Instance {
		t.Errorf("%+v, %v", got, err)
	}
	m.fail = errors.New("disk")
	if _, err := a.read(t.Context(), key{tenant, "abcdefghijklmnop"}); err == nil {
		t.Error("the outage was not noticed")
	}
}

func TestEnsureAdminRefuses(t *testing.T) {
	for name, prepare := range map[string]func(a *Tokens, path string) error{
		"a damaged file": func(_ *Tokens, path string) error { return os.WriteFile(path, []byte("oubli_default_x"), 0o600) },
		"an open file": func(_ *Tokens, path string) error {
			_, err := createToken(path)
			return errors.Join(err, os.Chmod(path, 0o644))
		},
		"a directory":        func(_ *Tokens, path string) error { return os.Mkdir(path, 0o700) },
		"a revoked token":    revokeAdmin,
		"a dangling symlink": func(_ *Tokens, path string) error { return os.Symlink(path+".elsewhere", path) },
	} {
		a, _, _ := start(t)
		path := filepath.Join(t.TempDir(), "admin.token")
		if err := prepare(a, path); err != nil {
			t.Fatal(name, err)
		}
		before, _ := os.ReadFile(path)
		if _, _, err := a.EnsureAdmin(t.Context(), path, false); err == nil {
			t.Errorf("%s was accepted", name)
		}
		if after, _ := os.ReadFile(path); string(after) != string(before) {
			t.Errorf("%s was overwritten", name)
		}
		if _, err := os.Lstat(path + ".elsewhere"); err == nil {
			t.Errorf("%s was followed", name)
		}
	}
}

func revokeAdmin(a *Tokens, path string) error {
	ctx := context.Background()
	t, _, err := a.EnsureAdmin(ctx, path, false)
	if err != nil {
		return err
	}
	return a.Revoke(ctx, tenant, t.ID)
}
