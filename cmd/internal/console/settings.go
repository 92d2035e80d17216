package console

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oubli-store/oubli/cmd/internal/settings"
)

// serveFlags are the server's settings beside those that every command takes. [settings.Load] reads environment and file: what stands in env
// here is for the help.
type serveFlags struct {
	Roots           []string `env:"OUBLI_ROOTS" sep:"none" placeholder:"DIR" help:"Directory of the root register, best on a volume of its own (otherwise: roots in the data directory). Given several times: a copy in each."`
	Listen          string   `env:"OUBLI_LISTEN" placeholder:"ADDR" help:"Where HTTP is served (otherwise: 127.0.0.1:8420)."`
	NATS            string   `name:"nats" env:"OUBLI_NATS" placeholder:"URL" help:"A NATS cluster of your own with JetStream (otherwise: a server inside the process)."`
	NATSListen      string   `name:"nats-listen" env:"OUBLI_NATS_LISTEN" placeholder:"ADDR" help:"Where the NATS server inside the process listens for bots (otherwise: nowhere)."`
	NATSReplicas    string   `name:"nats-replicas" env:"OUBLI_NATS_REPLICAS" placeholder:"N" help:"How many servers of that cluster keep each stream: 1, 3 or 5 (otherwise: 3 in a cluster of three or more, else 1)."`
	Journal         string   `name:"journal" env:"OUBLI_JOURNAL" placeholder:"on|off" help:"off: an answer rests on the NATS cluster alone; it needs three replicas (otherwise: on, the event is synced on this machine as well)."`
	KEK             string   `name:"kek" env:"OUBLI_KEK" placeholder:"URI" help:"The key-encryption key (otherwise: the file kek in the data directory)."`
	TLSCert         string   `name:"tls-cert" env:"OUBLI_TLS_CERT" placeholder:"FILE" help:"TLS certificate."`
	TLSKey          string   `name:"tls-key" env:"OUBLI_TLS_KEY" placeholder:"FILE" help:"TLS key."`
	BackupDir       string   `name:"backup-dir" env:"OUBLI_BACKUP_DIR" placeholder:"DIR" help:"Where backups are made on time (otherwise: none are)."`
	BackupEvery     string   `name:"backup-every" env:"OUBLI_BACKUP_EVERY" placeholder:"PERIOD" help:"How often (otherwise: 24h)."`
	BackupKeep      string   `name:"backup-keep" env:"OUBLI_BACKUP_KEEP" placeholder:"PERIOD" help:"How long a backup may be used; then it is deleted (otherwise: 60d)."`
	BackupRecipient string   `name:"backup-recipient" env:"OUBLI_BACKUP_RECIPIENT" placeholder:"KEY" help:"Who can open backups: a public key of age, or several separated by commas. No others can be made then."`
	Retention       string   `name:"retention" env:"OUBLI_RETENTION" placeholder:"DAYS" help:"How long tenants that do not say otherwise keep events (otherwise: 730d)."`
	Production      bool     `env:"OUBLI_PRODUCTION" help:"Refuse everything that is fit for trying out only, all reasons at once."`
	LogLevel        string   `env:"OUBLI_LOG_LEVEL" placeholder:"LEVEL" help:"debug, info, warn or error (otherwise: info)."`
	LogFormat       string   `env:"OUBLI_LOG_FORMAT" placeholder:"FORMAT" help:"text or json (otherwise: text)."`
}

// given reports whether a flag was given on the command line, and its value.
func (e *env) given(name string) (value string, ok bool) {
	for _, p := range e.parsed.Path {
		if p.Flag != nil && p.Flag.Name == name && !p.Resolved {
			if list, several := e.parsed.FlagValue(p.Flag).([]string); several {
				return strings.Join(list, string(filepath.ListSeparator)), true
			}
			return fmt.Sprint(e.parsed.FlagValue(p.Flag)), true
		}
	}
	return "", false
}

// serverSettings are the server's settings as they are in force.
func (e *env) serverSettings() (settings.Server, error) {
	flags := map[string]string{}
	for _, name := range settings.Names() {
		if v, ok := e.given(name); ok {
			flags[name] = v
		}
	}
	return settings.Load(flags, os.LookupEnv, e.Config)
}

type configCmd struct{ serveFlags }

// Run prints every setting, where it comes from, and no secret.
func (configCmd) Run(e *env) error {
	s, err := e.serverSettings()
	if err != nil {
		return err
	}
	lines := slices.DeleteFunc(s.Redacted(), func(l settings.Line) bool { return l.Name == "checkpoint" && l.Value == "" })
	for _, mine := range []struct{ name, value, variable, meaning string }{
		{"config", e.Config, "OUBLI_CONFIG", "the file of settings"},
		{"server", e.Server, "OUBLI_SERVER", "the server that commands talk to"},
		{"tenant", e.Tenant, "OUBLI_TENANT", "the tenant that commands manage"},
		{"token", e.Token, "OUBLI_TOKEN", "the access token"},
		{"token-file", e.TokenFile, "OUBLI_TOKEN_FILE", "the file of the access token (default: admin.token in the data directory)"},
	} {
		if mine.name == "token" && mine.value != "" {
			mine.value = "[redacted]"
		}
		origin := settings.FromDefault
		if _, ok := e.given(mine.name); ok {
			origin = settings.FromFlag
		} else if _, ok := os.LookupEnv(mine.variable); ok {
			origin = settings.FromEnvironment
		}
		lines = append(lines, settings.Line{Name: mine.name, Value: withoutUserinfo(mine.value), Origin: origin, Meaning: mine.meaning})
	}
	if e.JSON {
		return e.document(lines)
	}
	t := table{head: []string{"SETTING", "VALUE", "FROM", "MEANING"}}
	for _, l := range lines {
		t.add(l.Name, l.Value, string(l.Origin), l.Meaning)
	}
	return t.print(e.out, "")
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(e *env) error {
	if e.JSON {
		return e.document(map[string]string{"version": e.version})
	}
	_, err := fmt.Fprintln(e.out, "oubli "+e.version)
	return err
}
