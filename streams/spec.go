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

// attachments is the kind of the stream that the [eventstore.Chunks] of a tenant lives on.
const attachments = "BLOB"

// spec names one stream.
type spec struct {
	tenant eventstore.TenantID
	kind   string
}

func convSpec(tenant eventstore.TenantID) spec { return spec{tenant, conversations} }

func chunkSpec(tenant eventstore.TenantID) spec { return spec{tenant, attachments} }

func (s spec) stream() string  { return s.kind + "_" + string(s.tenant) }
func (s spec) name() string    { return string(s.tenant) + "/" + s.kind }
func (s spec) isRecords() bool { return s.kind != conversations && s.kind != attachments }

// hasRows says whether messages are sent under idempotency rows.
func (s spec) hasRows() bool { return s.kind == conversations }

// queueSize is how many messages may wait for the writer, atOnce how many are held in memory to be looked at. Chunks are large.
func (s spec) queueSize() int {
	if s.kind == attachments {
		return chunkCount
	}
	return queueSize
}

func (s spec) atOnce() int {
	if s.kind == attachments {
		return chunkCount
	}
	return buildCount
}

// chunkCount bounds how many chunks of attachments wait.
const chunkCount = 8

// control is the subject of control messages, or of all records.
func (s spec) control() string {
	if s.kind != conversations {
		return strings.ToLower(s.kind) + "." + string(s.tenant)
	}
	return "ctl." + string(s.tenant)
}

// prefix begins the subject of every message that belongs to a person.
func (s spec) prefix() string {
	if s.kind == attachments {
		return "blob." + string(s.tenant) + "."
	}
	return "conv." + string(s.tenant) + "."
}

// person is the subject of a person's events.
func (s spec) person(p eventstore.PersonID) string { return s.prefix() + p.String() }

// chunks is the subject of the chunks of one attachment.
func (s spec) chunks(a eventstore.Attachment) string {
	return s.prefix() + a.Person.String() + "." + a.ID.String()
}

// filler is the subject of empty messages that stand for a moment where an erased one was.
func (s spec) filler() string { return s.prefix() + "-" }

// subject is that of a message, which may depend on its data.
func (s spec) subject(p eventstore.PersonID, data []byte) string {
	switch {
	case p.IsZero():
		return s.control()
	case s.kind == attachments:
		return s.chunks(eventstore.Attachment{Person: p, ID: attachmentOf(data)})
	}
	return s.person(p)
}

// attachmentOf is the attachment that a chunk belongs to.
func attachmentOf(data []byte) (id eventstore.AttachmentID) {
	if len(data) >= envelope.HeaderSize {
		copy(id[:], data[1:17])
	}
	return id
}

// of is the subject of all messages of a person, or of the control messages.
func (s spec) of(p eventstore.PersonID) string {
	switch {
	case p.IsZero():
		return s.control()
	case s.kind == attachments:
		return s.person(p) + ".>"
	}
	return s.person(p)
}

// going are the subjects that a removal empties.
func (s spec) going(r eventstore.Removal) (all []string) {
	for _, p := range r.Persons {
		all = append(all, s.of(p))
	}
	for _, a := range r.Attachments {
		all = append(all, s.chunks(a))
	}
	return all
}

// owner is the person of a subject: zero for control messages. ok is false for subjects that are not ours.
func (s spec) owner(subject string) (p eventstore.PersonID, ok bool) {
	if subject == s.control() {
		return p, true
	}
	id, found := strings.CutPrefix(subject, s.prefix())
	if s.isRecords() || !found {
		return p, false
	}
	if s.kind == attachments {
		var of string
		id, of, _ = strings.Cut(id, ".")
		if _, err := eventstore.ParseAttachmentID(of); err != nil {
			return p, false
		}
	}
	p, err := eventstore.ParsePersonID(id)
	return p, err == nil && !p.IsZero()
}

// event is what the watermark knows a message by: an event's id; the tag of a chunk; a record's hash.
func (s spec) event(data []byte) (id [16]byte) {
	if s.kind == attachments {
		copy(id[:], data[max(0, len(data)-len(id)):])
		return id
	}
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
		Replicas:    max(replicas, 1),
		AllowDirect: true,
		Metadata:    map[string]string{metaVault: vault.String(), metaFormat: format},
	}
	if s.isRecords() {
		c.DenyDelete, c.DenyPurge = true, true
	} else {
		c.Subjects = append(c.Subjects, s.prefix()+">")
	}
	return c
}
