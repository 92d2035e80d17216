package settings

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/backup"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/kms"
)

// Server is what the program runs with. Make one with [Load].
type Server struct {
	// Data is the data directory; Roots those of the effaceable root register's copies, as a list in the system's form (default: roots in Data).
	Data, Roots string
	// Listen is where HTTP is served.
	Listen string
	// NATS is an external cluster's URL; empty: embedded. NATSListen opens the embedded server's port; empty: none.
	NATS, NATSListen string
	// NATSReplicas is how many servers of the cluster keep each stream; empty: 3 in a cluster of three or more, else 1. Journal is on or off: with off an
	// answer rests on the cluster alone.
	NATSReplicas, Journal string
	// KEK is the URI of the key-encryption key; empty: the file kek in Data.
	KEK string
	// TLSCert and TLSKey are files; both or none.
	TLSCert, TLSKey string
	// Checkpoint is where a checkpoint is kept outside, a file or an https URL.
	Checkpoint string
	// Retention is for how many days events are kept by tenants that do not say otherwise; see [Server.Keep].
	Retention  string
	Production bool
	// BackupDir is where backups are made, BackupEvery and BackupKeep the periods; empty: no backups on time. BackupRecipients are public keys of age,
	// separated by commas: the only ones that a backup is sealed to, if there are any.
	BackupDir, BackupEvery, BackupKeep, BackupRecipients string
	// LogLevel is debug, info, warn or error; LogFormat text or json.
	LogLevel, LogFormat string

	origin map[string]Origin
}

// Origin says where a value comes from.
type Origin string

// The origins, the strongest first.
const (
	FromFlag        Origin = "flag"
	FromEnvironment Origin = "environment"
	FromFile        Origin = "file"
	FromDefault     Origin = "default"
)

// setting describes one setting of the server.
type setting struct {
	name, byDefault, meaning string
	// allowed says what a value must be, and valid whether it is.
	allowed string
	valid   func(string) bool
	set     func(*Server, string)
	get     func(*Server) string
}

// text makes a setting that is a string.
func text(name, byDefault, meaning, allowed string, valid func(string) bool, field func(*Server) *string) setting {
	return setting{name, byDefault, meaning, allowed, valid,
		func(s *Server, v string) { *field(s) = v }, func(s *Server) string { return *field(s) }}
}

// server lists every setting, in the order in which they are printed.
var server = []setting{
	text("data", "./oubli-data", "the data directory", "a path", isPath, func(s *Server) *string { return &s.Data }),
	text("roots", "", "the directories of the root register's copies, separated as in PATH, each best on a volume of its own (default: roots in the data directory)", "a path, or several separated by colons", optional(isPath), func(s *Server) *string { return &s.Roots }),
	text("listen", "127.0.0.1:8420", "where HTTP is served", "an address host:port", isAddress, func(s *Server) *string { return &s.Listen }),
	text("nats", "", "an external NATS cluster (default: an embedded server)", "one or more URLs nats://…, tls://…, ws://… or wss://…, separated by commas", optional(isNATS), func(s *Server) *string { return &s.NATS }),
	text("nats-listen", "", "where the embedded NATS server listens (default: nowhere)", "an address host:port", optional(isAddress), func(s *Server) *string { return &s.NATSListen }),
	text("nats-replicas", "", "how many servers of the NATS cluster keep each stream (default: 3 in a cluster of three or more, else 1)", "1, 3 or 5", optional(oneOf("1", "3", "5")), func(s *Server) *string { return &s.NATSReplicas }),
	text("journal", "on", "what 201 means: on: the event is synced in log/ on this machine, and NATS has it; off: most servers of the NATS cluster have it, which sync it when they are set to", "on or off", oneOf("on", "off"), func(s *Server) *string { return &s.Journal }),
	text("kek", "", "the key-encryption key (default: a local file in the data directory)", "a URI file:///PATH, hcvault://HOST[:PORT]/MOUNT/keys/NAME or aws-kms://ARN, without credentials", optional(IsKEK), func(s *Server) *string { return &s.KEK }),
	text("tls-cert", "", "the TLS certificate's file", "a path", optional(isPath), func(s *Server) *string { return &s.TLSCert }),
	text("tls-key", "", "the TLS key's file", "a path", optional(isPath), func(s *Server) *string { return &s.TLSKey }),
	text("checkpoint", "", "where a checkpoint is kept outside of the data directory", "a path or a URL https://…", optional(isCheckpoint), func(s *Server) *string { return &s.Checkpoint }),
	text("backup-dir", "", "where backups are made on time (default: none are)", "a path", optional(isPath), func(s *Server) *string { return &s.BackupDir }),
	text("backup-every", "24h", "how often", "a period like 24h or 7d, at least 1m", isPeriod(time.Minute), func(s *Server) *string { return &s.BackupEvery }),
	text("backup-keep", "60d", "how long a backup may be used; then it is deleted", "a period like 60d, of at least 1h", isPeriod(backup.MinKeep), func(s *Server) *string { return &s.BackupKeep }),
	text("backup-recipient", "", "who can open backups; no others can be made then", "one or more public keys age1…, ssh-ed25519 … or ssh-rsa …, separated by commas", optional(isRecipients), func(s *Server) *string { return &s.BackupRecipients }),
	text("retention", "730d", "how long events are kept by tenants that do not say otherwise", "a whole number of days from 92d to 36500d", IsRetention, func(s *Server) *string { return &s.Retention }),
	{"production", "false", "refuse everything that is fit for trying out only", "true or false",
		func(v string) bool { _, err := strconv.ParseBool(v); return err == nil },
		func(s *Server, v string) { s.Production, _ = strconv.ParseBool(v) },
		func(s *Server) string { return strconv.FormatBool(s.Production) }},
	text("log-level", "info", "how much is logged", "debug, info, warn or error", oneOf("debug", "info", "warn", "error"), func(s *Server) *string { return &s.LogLevel }),
	text("log-format", "text", "how it is logged", "text or json", oneOf("text", "json"), func(s *Server) *string { return &s.LogFormat }),
}

// Names lists the settings of the server, as their flags are called.
func Names() (out []string) {
	for _, d := range server {
		out = append(out, d.name)
	}
	return out
}

// variable is the name in the environment.
func variable(name string) string {
	return "OUBLI_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// Refusals are reasons not to start, all of them. It matches [eventstore.ErrInvalid].
type Refusals []string

// Error implements error, with one line for each reason.
func (r Refusals) Error() string { return strings.Join(r, "\n") }

// Is implements [errors.Is].
func (Refusals) Is(target error) bool { return target == eventstore.ErrInvalid }

func (r Refusals) err() error {
	if len(r) == 0 {
		return nil
	}
	return r
}

// Load finds every setting: in flags (by name; only those that were given), then through lookup in the environment, then in the file
// (empty: none), then the default. Empty values count as not given. The error is [Refusals], all of them, or that of reading the file.
func Load(flags map[string]string, lookup func(string) (string, bool), file string) (Server, error) {
	s := Server{origin: map[string]Origin{}}
	var refused Refusals
	stored, err := readFile(file, &refused)
	if err != nil {
		return Server{}, err
	}
	for name := range flags {
		if !slices.Contains(Names(), name) {
			refused = append(refused, "a flag does not exist")
		}
	}
	for _, d := range server {
		value, origin := d.byDefault, FromDefault
		if v, ok := lookup(variable(d.name)); flags[d.name] != "" {
			value, origin = flags[d.name], FromFlag
		} else if ok && v != "" {
			value, origin = v, FromEnvironment
		} else if stored[d.name] != "" {
			value, origin = stored[d.name], FromFile
		}
		if !d.valid(value) {
			refused = append(refused, fmt.Sprintf("%s (%s): must be %s", d.name, origin, d.allowed))
			continue
		}
		d.set(&s, value)
		s.origin[d.name] = origin
	}
	if s.Roots == "" {
		s.Roots = filepath.Join(s.Data, "roots")
	}
	return s, refused.err()
}

// Line is one setting in force.
type Line struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Origin  Origin `json:"origin"`
	Meaning string `json:"meaning"`
}

// Redacted lists every setting in force with its origin; what may be secret in a URL (user, password, query) is left out.
func (s Server) Redacted() []Line {
	var out []Line
	for _, d := range server {
		out = append(out, Line{d.name, redact(d.name, d.get(&s)), s.origin[d.name], d.meaning})
	}
	return out
}

// String implements [fmt.Stringer], redacted.
func (s Server) String() string {
	var b strings.Builder
	for _, l := range s.Redacted() {
		fmt.Fprintf(&b, "%s = %s (%s)\n", l.Name, l.Value, l.Origin)
	}
	return b.String()
}

// GoString implements [fmt.GoStringer], redacted.
func (s Server) GoString() string { return s.String() }

const hidden = "[redacted]"

// redact hides what may be secret in a value that can be a URL.
func redact(name, value string) string {
	if !strings.Contains(value, "://") || name == "data" || name == "roots" || name == "kek" && IsKEK(value) {
		return value
	}
	parts := strings.Split(value, ",")
	for i, part := range parts {
		u, err := url.Parse(strings.TrimSpace(part))
		if err != nil {
			parts[i] = hidden
			continue
		}
		secret := u.User != nil || u.RawQuery != "" || u.Fragment != ""
		u.User, u.RawQuery, u.Fragment = nil, "", ""
		if parts[i] = u.String(); secret {
			parts[i] += " " + hidden
		}
	}
	return strings.Join(parts, ",")
}

func isPeriod(least time.Duration) func(string) bool {
	return func(v string) bool {
		d, err := backup.ParsePeriod(v)
		return err == nil && d >= least && d <= backup.MaxKeep
	}
}

func isRecipients(v string) bool {
	_, err := backup.ParseRecipients(strings.Split(v, ","))
	return err == nil
}

func optional(valid func(string) bool) func(string) bool {
	return func(v string) bool { return v == "" || valid(v) }
}

func oneOf(values ...string) func(string) bool {
	return func(v string) bool { return slices.Contains(values, v) }
}

func isPath(v string) bool { return v != "" && !strings.ContainsRune(v, 0) }

func isAddress(v string) bool {
	_, port, err := net.SplitHostPort(v)
	if err != nil {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n <= 65535
}

func schemes(allowed ...string) func(string) bool {
	return func(v string) bool {
		u, err := url.Parse(v)
		return err == nil && slices.Contains(allowed, u.Scheme) && u.Host+u.Path != ""
	}
}

// IsKEK says whether v is the URI of a key-encryption key that this program can reach. Such a URI holds no credentials.
func IsKEK(v string) bool {
	if supported, err := kms.Check(v); supported {
		return err == nil
	}
	return schemes("file")(v)
}

func isNATS(v string) bool {
	for part := range strings.SplitSeq(v, ",") {
		if !schemes("nats", "tls", "ws", "wss")(strings.TrimSpace(part)) {
			return false
		}
	}
	return true
}

func isCheckpoint(v string) bool {
	if strings.Contains(v, "://") {
		return schemes("https")(v)
	}
	return isPath(v)
}
