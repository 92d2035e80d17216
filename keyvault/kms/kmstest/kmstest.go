// Package kmstest is what every client of a key management service is tested with, against a fake of the service's API on loopback.
package kmstest

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault"
	"github.com/oubli-store/oubli/keyvault/register"
)

// Service is a client and the fake that it talks to.
type Service struct {
	Client register.KMS
	// URI and Other name two keys; Missing one that is not there.
	URI, Other, Missing string
	// Mode makes the service Up, gone (HangsUp), or Failing.
	Mode func(Mode)
	// Credentials are the environment variables with the credentials; they are set. Each value must never be printed.
	Credentials map[string]string
}

// Mode is how a service behaves.
type Mode int32

// The modes.
const (
	Up Mode = iota
	HangsUp
	Failing
)

const tenant eventstore.TenantID = "acme"

// Test runs every test; start makes a service for each.
func Test(t *testing.T, start func(t *testing.T) Service) {
	for name, test := range map[string]func(*testing.T, Service){
		"Wraps": wraps, "VaultOpens": vaultOpens, "OutageBlocksNoErasure": outage, "Credentials": credentials, "Rotates": rotates,
	} {
		t.Run(name, func(t *testing.T) { test(t, start(t)) })
	}
}

// silent fails the test if an error holds a credential.
func (s Service) silent(t *testing.T, err error) {
	t.Helper()
	for name, value := range s.Credentials {
		if err != nil && strings.Contains(err.Error(), value) {
			t.Errorf("an error holds the value of %s", name)
		}
	}
}

func wraps(t *testing.T, s Service) {
	if !s.Client.Supported(s.URI) || s.Client.Supported("file:///kek") {
		t.Error("it supports the wrong URIs")
	}
	a, err := register.KEK(nil, s.URI, s.Client)
	if err != nil {
		t.Fatal(err)
	}
	plain, associated := bytes.Repeat([]byte{7}, 32), []byte("associated")
	wrapped, err := a.Encrypt(plain, associated)
	if err != nil || bytes.Contains(wrapped, plain) {
		t.Fatalf("wrapping: %v", err)
	}
	if got, err := a.Decrypt(wrapped, associated); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("unwrapping: %v", err)
	}
	if _, err := a.Decrypt(wrapped, []byte("other")); err == nil || errors.Is(err, register.ErrKMS) {
		t.Errorf("with other associated data: %v", err)
	}
	other, err := register.KEK(nil, s.Other, s.Client)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Decrypt(wrapped, associated); err == nil || errors.Is(err, register.ErrKMS) {
		t.Errorf("with another key: %v", err)
	}
	missing, err := register.KEK(nil, s.Missing, s.Client)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := missing.Encrypt(plain, associated); err == nil {
		t.Error("a key that is not there wraps")
	}
	for _, mode := range []Mode{HangsUp, Failing} {
		s.Mode(mode)
		_, err := a.Decrypt(wrapped, associated)
		if !errors.Is(err, register.ErrKMS) {
			t.Errorf("mode %d: %v", mode, err)
		}
		s.silent(t, err)
	}
}

func (s Service) open(t *testing.T, dir, uri string) (*keyvault.Vault, error) {
	t.Helper()
	v, err := keyvault.Open(t.Context(), keyvault.Config{Dir: filepath.Join(dir, "vault"), Roots: filepath.Join(dir, "roots"), KEK: uri,
		KMS: []register.KMS{s.Client}, Create: true})
	s.silent(t, err)
	return v, err
}

func (s Service) opened(t *testing.T, dir, uri string) *keyvault.Vault {
	t.Helper()
	v, err := s.open(t, dir, uri)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func closed(t *testing.T, v *keyvault.Vault) {
	t.Helper()
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
}

var ann = eventstore.Identity{Namespace: "email", ID: "ann@example.com"}

// enter makes a person.
func enter(t *testing.T, v *keyvault.Vault, id eventstore.Identity) eventstore.PersonID {
	t.Helper()
	now := time.Now()
	e, err := v.Enter(t.Context(), tenant, eventstore.Arrival{Identity: id, Time: now, Received: now}, func(eventstore.State) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer e.Gate.Release()
	return e.Gate.Person()
}

func vaultOpens(t *testing.T, s Service) {
	dir := t.TempDir()
	v := s.opened(t, dir, s.URI)
	if err := v.CreateTenant(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	person := enter(t, v, ann)
	closed(t, v)
	for _, uri := range []string{s.Other, s.Missing} {
		if v, err := s.open(t, dir, uri); !errors.Is(err, register.ErrKEK) && !errors.Is(err, register.ErrKMS) {
			t.Errorf("another key: %v, %v", v, err)
		}
	}
	if _, err := s.open(t, dir, s.Other); !errors.Is(err, register.ErrKEK) {
		t.Errorf("the wrong key: %v", err)
	}
	v = s.opened(t, dir, s.URI)
	defer closed(t, v)
	if got, err := v.Resolve(t.Context(), tenant, ann); err != nil || got != person {
		t.Errorf("after opening again: %v", err)
	}
}

// outage: without the service nothing starts, with a clear error, and a vault that is open erases.
func outage(t *testing.T, s Service) {
	dir := t.TempDir()
	v := s.opened(t, dir, s.URI)
	if err := v.CreateTenant(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []Mode{HangsUp, Failing} {
		person := enter(t, v, ann)
		s.Mode(mode)
		if _, err := v.Fence(t.Context(), tenant, []eventstore.PersonID{person}); err != nil {
			t.Fatal(err)
		}
		if err := v.Shred(t.Context(), tenant, []eventstore.PersonID{person}, eventstore.ShredOptions{}); err != nil {
			t.Fatalf("mode %d: shredding: %v", mode, err)
		}
		if _, err := v.Gate(t.Context(), tenant, person); !errors.Is(err, eventstore.ErrErased) {
			t.Errorf("mode %d: the erased person's gate: %v", mode, err)
		}
		closed(t, v)
		if _, err := s.open(t, dir, s.URI); !errors.Is(err, register.ErrKMS) || !errors.Is(err, eventstore.ErrUnavailable) || errors.Is(err, eventstore.ErrDamaged) {
			t.Errorf("mode %d: opening without the service: %v", mode, err)
		}
		s.Mode(Up)
		v = s.opened(t, dir, s.URI)
		if _, err := v.Gate(t.Context(), tenant, person); !errors.Is(err, eventstore.ErrErased) {
			t.Errorf("mode %d: the erased person's gate, later: %v", mode, err)
		}
	}
	closed(t, v)
}

func credentials(t *testing.T, s Service) {
	a, err := register.KEK(nil, s.URI, s.Client)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := a.Encrypt([]byte("plain"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range s.Credentials {
		t.Setenv(name, "wrong-"+value)
	}
	if a, err = register.KEK(nil, s.URI, s.Client); err != nil {
		t.Fatal(err)
	}
	_, err = a.Decrypt(wrapped, nil)
	if !errors.Is(err, register.ErrKMS) {
		t.Errorf("wrong credentials: %v", err)
	}
	s.silent(t, err)
	for name := range s.Credentials {
		t.Setenv(name, "")
	}
	_, err = register.KEK(nil, s.URI, s.Client)
	if !errors.Is(err, register.ErrKMS) {
		t.Fatalf("no credentials: %v", err)
	}
	for name := range s.Credentials {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not name %s: %v", name, err)
		}
	}
}

func rotates(t *testing.T, s Service) {
	dir := t.TempDir()
	v := s.opened(t, dir, s.URI)
	if err := v.CreateTenant(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	recorded := false
	before := func() error { recorded = true; return nil }
	s.Mode(Failing)
	if err := v.RotateKEK(t.Context(), s.Other, before); !errors.Is(err, register.ErrKMS) || recorded {
		t.Errorf("without the service: %v, recorded %t", err, recorded)
	}
	s.Mode(Up)
	if err := v.RotateKEK(t.Context(), s.Missing, before); err == nil || recorded {
		t.Errorf("to a key that is not there: %v, recorded %t", err, recorded)
	}
	if err := v.RotateKEK(t.Context(), s.Other, before); err != nil || !recorded {
		t.Fatalf("%v, recorded %t", err, recorded)
	}
	closed(t, v)
	if _, err := s.open(t, dir, s.URI); !errors.Is(err, register.ErrKEK) {
		t.Errorf("the old key: %v", err)
	}
	closed(t, s.opened(t, dir, s.Other))
}
