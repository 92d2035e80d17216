package backup

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
)

// ErrNoRecipient: a backup needs somebody who can open it.
var ErrNoRecipient = errors.New("no recipient is named: nobody could open the backup (make one with age-keygen, and name what begins with age1)")

// Recipient is a public key that backups are sealed to.
type Recipient struct {
	text string
	key  age.Recipient
}

// String is the public key as it was written.
func (r Recipient) String() string { return r.text }

// Recipients are public keys, all of which can open what is sealed to them.
type Recipients []Recipient

func (r Recipients) age() (out []age.Recipient) {
	for _, x := range r {
		out = append(out, x.key)
	}
	return out
}

// Sum names the recipients in a ledger, whatever their order.
func (r Recipients) Sum() []byte {
	var texts []string
	for _, x := range r {
		texts = append(texts, x.text)
	}
	slices.Sort(texts)
	sum := sha256.Sum256([]byte("oubli/recipients/1\x00" + strings.Join(texts, "\n")))
	return sum[:16]
}

// Contains says whether all of others are among r.
func (r Recipients) Contains(others Recipients) bool {
	for _, o := range others {
		if !slices.ContainsFunc(r, func(x Recipient) bool { return x.text == o.text }) {
			return false
		}
	}
	return true
}

// ParseRecipient reads a public key: age1…, age1pq1… or an SSH key (ssh-ed25519 or ssh-rsa). The error does not repeat it, in case it is a private one.
func ParseRecipient(text string) (Recipient, error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "ssh-") {
		if fields := strings.Fields(text); len(fields) > 2 {
			text = strings.Join(fields[:2], " ") // without the comment, which may be a name
		}
		key, err := agessh.ParseRecipient(text)
		if err != nil {
			return Recipient{}, errRecipient
		}
		return Recipient{text, key}, nil
	}
	if all, err := age.ParseRecipients(strings.NewReader(text)); err == nil && len(all) == 1 {
		return Recipient{text, all[0]}, nil
	}
	return Recipient{}, errRecipient
}

var errRecipient = errors.New("a recipient is a public key that begins with age1, ssh-ed25519 or ssh-rsa")

// ParseRecipients reads a list of public keys.
func ParseRecipients(texts []string) (Recipients, error) {
	var out Recipients
	for _, t := range texts {
		r, err := ParseRecipient(t)
		if err != nil {
			return nil, err
		}
		if !out.Contains(Recipients{r}) {
			out = append(out, r)
		}
	}
	return out, nil
}

// ReadRecipients reads a file with one public key a line; empty lines and those that begin with # are passed over.
func ReadRecipients(in io.Reader) (Recipients, error) {
	var texts []string
	sc := bufio.NewScanner(in)
	for sc.Scan() {
		if line := strings.TrimSpace(sc.Text()); line != "" && !strings.HasPrefix(line, "#") {
			texts = append(texts, line)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	return ParseRecipients(texts)
}

// Identities are private keys.
type Identities struct{ keys []age.Identity }

func (i Identities) age() []age.Identity { return i.keys }

const maxIdentity = 1 << 20

// ReadIdentities reads a file of private keys: what age-keygen writes, or an SSH key without a passphrase. The error repeats nothing of it.
func ReadIdentities(in io.Reader) (Identities, error) {
	b, err := io.ReadAll(io.LimitReader(in, maxIdentity))
	if err != nil {
		return Identities{}, fmt.Errorf("reading the identity: %w", err)
	}
	defer clear(b)
	if strings.Contains(string(b), "-----BEGIN") {
		key, err := agessh.ParseIdentity(b)
		if err != nil {
			return Identities{}, errors.New("the identity is no SSH key that can be used here (ed25519 or rsa, without a passphrase)")
		}
		return Identities{[]age.Identity{key}}, nil
	}
	keys, err := age.ParseIdentities(strings.NewReader(string(b)))
	if err != nil || len(keys) == 0 {
		return Identities{}, errors.New("the identity file holds no private key of age (a line that begins with AGE-SECRET-KEY-)")
	}
	return Identities{keys}, nil
}
