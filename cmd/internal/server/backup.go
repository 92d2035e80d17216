package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oubli-store/oubli/cmd/internal/api"
	"github.com/oubli-store/oubli/cmd/internal/backup"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

var (
	errBackupBusy      = eventstore.Refuse(eventstore.KindConflict, "", "a backup is being made; one at a time").RetryAfter(time.Minute)
	errBackupRecipient = eventstore.Refuse(eventstore.KindForbidden, "recipients", "backups of this server are sealed to the recipients that it was started with (backup-recipient), and to no others")
	errBackupNobody    = eventstore.Refuse(eventstore.KindForbidden, "recipients", "in production backups are sealed to the recipients that the server was started with, and it was started with none (backup-recipient)")
	errBadRecipient    = eventstore.Refuse(eventstore.KindInvalid, "recipients", "a recipient is a public key that begins with age1, ssh-ed25519 or ssh-rsa")
	errNoRecipient     = eventstore.Refuse(eventstore.KindInvalid, "recipients", "no recipient is named: nobody could open the backup")
	errExpires         = eventstore.Refuse(eventstore.KindInvalid, "expires", "expires is a period like 60d or 36h, from one hour to ten years")
)

// defaultKeep is how long a backup may be used when nobody says.
const defaultKeep = "60d"

// Backup implements [api.Backups].
func (s *Server) Backup(ctx context.Context, actor rights.Actor, order api.BackupOrder, w io.Writer) error {
	to, err := s.recipients(order.Recipients)
	if err != nil {
		return err
	}
	keep, err := backup.ParsePeriod(cmp.Or(order.Expires, s.c.BackupKeep, defaultKeep))
	if err != nil || keep < backup.MinKeep || keep > backup.MaxKeep {
		return errExpires
	}
	_, err = s.makeBackup(ctx, backup.Order{Recipients: to, Keep: keep, Token: actor.Token, Role: actor.Role}, w)
	return err
}

// recipients are who a backup is sealed to. Who manages the instance does not decide who can read everything in it: where the operator has named recipients,
// there are no others, and in production the operator must.
func (s *Server) recipients(asked []string) (backup.Recipients, error) {
	ours, err := s.ourRecipients()
	if err != nil {
		return nil, err
	}
	to, err := backup.ParseRecipients(asked)
	switch {
	case err != nil:
		return nil, errBadRecipient
	case len(ours) == 0 && s.c.Production:
		return nil, errBackupNobody
	case len(ours) > 0 && !ours.Contains(to):
		return nil, errBackupRecipient
	case len(to) == 0 && len(ours) == 0:
		return nil, errNoRecipient
	case len(to) == 0:
		return ours, nil
	}
	return to, nil
}

// ourRecipients are those that the server was started with.
func (s *Server) ourRecipients() (backup.Recipients, error) {
	if s.c.BackupRecipients == "" {
		return nil, nil
	}
	return backup.ParseRecipients(strings.Split(s.c.BackupRecipients, ","))
}

// makeBackup makes one backup, if no other is being made.
func (s *Server) makeBackup(ctx context.Context, o backup.Order, w io.Writer) (backup.Made, error) {
	if !s.backingUp.TryLock() {
		return backup.Made{}, errBackupBusy
	}
	defer s.backingUp.Unlock()
	if err := s.noteBackup(ctx, s.c.Now().Add(o.Keep)); err != nil {
		return backup.Made{}, err
	}
	from := backup.Source{Vault: s.vault, Log: s.streams, Chunks: s.streams.Chunks(), Records: s.streams, Ledger: s.ledger, Changing: &s.changing, Now: s.c.Now, Program: s.c.Version}
	return from.Make(ctx, o, w, nil)
}

// untilRow, in the default tenant's rows of the server, is when the last backup that was begun must not be used any more.
const untilRow = "backups-until"

// noteBackup keeps until when there may be a backup, before it is made: certificates of erasures say it.
func (s *Server) noteBackup(ctx context.Context, until time.Time) error {
	known, err := s.backupsUntil(ctx, eventstore.DefaultTenant)
	if err != nil || !until.After(known) {
		return err
	}
	value, err := until.UTC().MarshalText()
	if err != nil {
		return err
	}
	return s.vault.Put(ctx, eventstore.DefaultTenant, tableServer, untilRow, value)
}

// backupsUntil is when the last backup that this server began must not be used any more; zero if it began none. A backup holds all tenants.
func (s *Server) backupsUntil(ctx context.Context, _ eventstore.TenantID) (until time.Time, err error) {
	value, err := s.vault.Get(ctx, eventstore.DefaultTenant, tableServer, untilRow)
	if errors.Is(err, eventstore.ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	if until.UnmarshalText(value) != nil {
		return until, fmt.Errorf("%w: the row that says until when there are backups cannot be read", eventstore.ErrDamaged)
	}
	return until, nil
}

// openBackups makes the schedule of backups, if one is configured.
func (s *Server) openBackups(context.Context) error {
	if s.c.BackupDir == "" {
		return nil
	}
	to, err := s.ourRecipients()
	if err != nil {
		return err
	}
	every, err := backup.ParsePeriod(cmp.Or(s.c.BackupEvery, "24h"))
	if err != nil {
		return err
	}
	keep, err := backup.ParsePeriod(cmp.Or(s.c.BackupKeep, defaultKeep))
	if err != nil {
		return err
	}
	s.backups = backup.NewSchedule(backup.Plan{Dir: s.c.BackupDir, Every: every, Keep: keep, Recipients: to}, s.vault.Vault(), s.vault, s.makeBackup, s.c.Now, s.c.Log)
	s.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "oubli_backup_last_timestamp_seconds", Help: "When the newest backup on time was made (0: never)."},
			func() float64 { return seconds(s.backups.Status().Last) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "oubli_backup_next_timestamp_seconds", Help: "When the next backup on time is due."},
			func() float64 { return seconds(s.backups.Status().Next) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "oubli_backup_failures_total", Help: "What went wrong with backups on time."},
			func() float64 { return float64(s.backups.Status().Failures) }))
	return nil
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

// runBackups runs the schedule.
func (s *Server) runBackups() {
	if s.backups != nil {
		s.running.Go(func() { _ = s.backups.Run(s.work) }) // it tells what goes wrong itself
	}
}

// backupStatus is the schedule's status; nil without one.
func (s *Server) backupStatus() func() backup.Status {
	if s.backups == nil {
		return nil
	}
	return s.backups.Status
}

// notes lists what an operator should look at although the server serves.
func (s *Server) notes(ctx context.Context) (out []api.Reason) {
	if s.backups != nil {
		if f := s.backups.Status().Failure; f != "" {
			out = append(out, api.Reason{Part: "backup", Why: f + "; the server's log has more"})
		}
	}
	if s.vault.RegisterFails() {
		out = append(out, api.Reason{Part: "roots", Why: "a copy of the root register cannot be written: nobody can be erased until it can be again; look at every directory of --roots"})
	}
	out = append(out, s.requestNotes(ctx)...)
	return append(out, s.checkpointNote()...)
}
