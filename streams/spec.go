package streams

import (
	"crypto/sha256"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/envelope"
)

// metadata keys of a stream.
const (
	metaVault  = "oubli.vault"
	metaFormat = "oubli.format"
	format     = "1"
)

// conversations is the kind of the stream that the [eventstore.Log] of a tenant lives on.
const conversations = "CONV"

// spec names one stream.
type spec struct {
	tenant eventstore.TenantID
	kind   string
}

func convSpec(tenant eventstore.TenantID) spec { return spec{tenant, conversations} }

func (s spec) stream() string  { return s.kind + "_" + string(s.tenant) }
func (s spec) name() string    { return string(s.tenant) + "/" + s.kind }
func (s spec) isRecords() bool { return s.kind != conversations }

// control is the subject of control messages, or of all records.
func (s spec) control() string {
	if s.isRecords() {
		return strings.ToLower(s.kind) + "." + string(s.tenant)
	}
	return "ctl." + string(s.tenant)
}

// person is the subject of a person's events.
func (s spec) person(p eventstore.PersonID) string {
	return "conv." + string(s.tenant) + "." + p.String()
}

// filler is the subject of empty messages that stand for a moment where an erased one was.
func (s spec) filler() string { return "conv." + string(s.tenant) + ".-" }

func (s spec) subject(p eventstore.PersonID) string {
	if p.IsZero() {
		return s.control()
	}
	return s.person(p)
}

// owner is the person of a subject: zero for control messages. ok is false for subjects that are not ours.
func (s spec) owner(subject string) (p eventstore.PersonID, ok bool) {
	if subject == s.control() {
		return p, true
	}
	id, found := strings.CutPrefix(subject, "conv."+string(s.tenant)+".")
	if s.isRecords() || !found {
		return p, false
	}
	p, err := eventstore.ParsePersonID(id)
	return p, err == nil && !p.IsZero()
}

// event is what the watermark knows a message by: an event's id; a record's hash.
func (s spec) event(data []byte) (id [16]byte) {
	if s.isRecords() {
		h := sha256.Sum256(data)
		copy(id[:], h[:])
		return id
	}
	if len(data) >= envelope.HeaderSize {
		copy(id[:], data[1:17])
	}
	return id
}

func (s spec) config(vault eventstore.VaultID, replicas int) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name:        s.stream(),
		Subjects:    []string{s.control()},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardNew,
		Compression: jetstream.NoCompression,
		Replicas:    replicas,
		AllowDirect: true,
		Metadata:    map[string]string{metaVault: vault.String(), metaFormat: format},
	}
	if s.isRecords() {
		c.DenyDelete, c.DenyPurge = true, true
	} else {
		c.Subjects = append(c.Subjects, "conv."+string(s.tenant)+".>")
	}
	return c
}
