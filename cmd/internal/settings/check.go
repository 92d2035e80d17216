package settings

import (
	"net"
	"strings"
	"time"
)

// Check holds the settings together and returns every reason not to start, as [Refusals]. Without Production only what can never work is refused.
func (s Server) Check() error {
	var r Refusals
	if (s.TLSCert == "") != (s.TLSKey == "") {
		r = append(r, "tls-cert and tls-key: set both or neither")
	}
	if s.NATS != "" && s.NATSListen != "" {
		r = append(r, "nats and nats-listen: set one; with an external NATS cluster no embedded server listens")
	}
	if s.Journal == "off" && (s.NATS == "" || s.NATSReplicas == "1") {
		r = append(r, "journal: it can be off only where a NATS cluster (nats) keeps every stream on three servers or more")
	}
	if s.NATSReplicas != "" && s.NATS == "" {
		r = append(r, "nats-replicas: only a NATS cluster (nats) has several servers")
	}
	if s.BackupDir != "" && s.BackupRecipients == "" {
		r = append(r, "backup-dir and backup-recipient: set both; without a recipient nobody could open the backups")
	}
	if s.Production {
		r = append(r, s.production(filesystem)...)
	}
	return r.err()
}

// production lists what is fit for trying out only.
func (s Server) production(at func(string) volume) (r Refusals) {
	if s.KEK == "" || strings.HasPrefix(s.KEK, "file:") {
		r = append(r, "kek: in production the key-encryption key must be in a KMS (hcvault://…, aws-kms://…), not in a local file")
	}
	if s.origin["retention"] == FromDefault {
		r = append(r, "retention: in production it must be said for how long events are kept (such as 730d)")
	}
	r = append(r, s.places(at)...)
	for _, name := range s.InClear() {
		r = append(r, name+": in production off loopback needs tls-cert and tls-key")
	}
	for part := range strings.SplitSeq(s.NATS, ",") {
		part = strings.TrimSpace(part)
		if strings.HasPrefix(part, "nats://") || strings.HasPrefix(part, "ws://") {
			r = append(r, "nats: in production an external NATS cluster must be reached over TLS (tls://… or wss://…)")
			break
		}
	}
	return r
}

// Keep is Retention, read.
func (s Server) Keep() time.Duration {
	d, ok := retention(s.Retention)
	if !ok {
		d, _ = retention("730d")
	}
	return d
}

// InClear lists the settings under which access tokens and texts cross a network unencrypted. In production they are refused.
func (s Server) InClear() (names []string) {
	if s.TLSCert != "" {
		return nil
	}
	if !loopback(s.Listen) {
		names = append(names, "listen")
	}
	if s.NATSListen != "" && !loopback(s.NATSListen) {
		names = append(names, "nats-listen")
	}
	return names
}

// loopback says whether an address can be reached from this machine alone.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
