// Package kms lists the clients of the key management services that a key-encryption key may be in. Only the command imports it: the key vault
// takes clients as values (keyvault.Config.KMS) and knows none of these services, so that a program that embeds the store carries none of them.
//
//	hcvault://HOST[:PORT]/MOUNT/keys/NAME              a key of a HashiCorp Vault's (or OpenBao's) transit engine: package hcvault
//	aws-kms://arn:aws:kms:REGION:ACCOUNT:key/ID        a key of AWS KMS: package awskms
//
// Another service is another package of this pattern: a type with Supported and GetAEAD whose AEADs match register.ErrKMS when the service, and not the
// key, is the matter; credentials from the service's own environment variables only; every call bounded in time.
package kms

import (
	"github.com/oubli-store/oubli/keyvault/kms/awskms"
	"github.com/oubli-store/oubli/keyvault/kms/hcvault"
	"github.com/oubli-store/oubli/keyvault/register"
)

// Clients makes one client for each service. It reads nothing and connects to nothing.
func Clients() []register.KMS { return []register.KMS{hcvault.Client{}, awskms.Client{}} }

// Check says what is wrong with the URI of a key in one of these services, without repeating it; supported is false if none of them serves it.
func Check(uri string) (supported bool, err error) {
	for scheme, check := range map[string]func(string) error{hcvault.Scheme: hcvault.Check, awskms.Scheme: awskms.Check} {
		if len(uri) >= len(scheme) && uri[:len(scheme)] == scheme {
			return true, check(uri)
		}
	}
	return false, nil
}
