package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// Plan says when the schedule makes backups, where, and for how long.
type Plan struct {
	Dir         string
	Every, Keep time.Duration
	Recipients  Recipients
}

// ParsePeriod reads a length of time: days as 60d, or what Go writes (36h, 90m). It must be positive.
func ParsePeriod(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 || n > int(MaxKeep/(24*time.Hour)) {
			return 0, errPeriod
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, errPeriod
	}
	return d, nil
}

var errPeriod = eventstore.Refuse(eventstore.KindInvalid, "", "a period is a number of days like 60d, or of hours like 36h")

// tableBackups holds a row for each file that the schedule made, under the file's name.
const tableBackups eventstore.MetaTable = "backups"

// file is such a row.
type file struct {
	Moment  time.Time `json:"moment"`
	Expires time.Time `json:"expires"`
	Size    int64     `json:"size"`
	// There says that the file has its name. Without it the row is that of a backup that a crash may have cut off.
	There bool `json:"there"`
}

// Status is how the schedule does.
type Status struct {
	// Last is when the newest backup was made, Next when another is due.
	Last, Next time.Time
	// Files are the backups that are kept.
	Files int
	// Failure says what went wrong since, empty if nothing did. It is made of the program's own words.
	Failure string
	// Failures counts what went wrong since the start.
	Failures uint64
}

// Schedule makes backups on time, also across restarts, and deletes those that have expired: its own only, which it knows by its rows in the default tenant, by
// their names, their sizes and the head of an age file. It is safe for concurrent use.
//
// A file is written under the name .NAME.part, synced, and renamed; a part that a crash left is deleted. A file that was put in the place of one of its own is
// left alone and told.
type Schedule struct {
	plan  Plan
	vault eventstore.VaultID
	meta  eventstore.Meta
	make  func(context.Context, Order, io.Writer) (Made, error)
	now   func() time.Time
	log   *slog.Logger

	mu     sync.Mutex
	status Status
}

// NewSchedule makes the schedule of a server. make makes one backup.
func NewSchedule(p Plan, vault eventstore.VaultID, meta eventstore.Meta, make func(context.Context, Order, io.Writer) (Made, error), now func() time.Time, log *slog.Logger) *Schedule {
	return &Schedule{plan: p, vault: vault, meta: meta, make: make, now: now, log: log}
}

const (
	// look is how often the clock is looked at; retry how soon a backup that failed is tried again.
	look  = time.Minute
	retry = 10 * time.Minute
)

// Status says how the schedule does.
func (s *Schedule) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// Run works until ctx ends; then it returns nil.
func (s *Schedule) Run(ctx context.Context) error {
	s.clean()
	var notBefore time.Time
	for {
		failed := s.turn(ctx, notBefore)
		if ctx.Err() != nil {
			return nil
		}
		if failed {
			notBefore = s.now().Add(min(retry, s.plan.Every))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(min(look, s.plan.Every)):
		}
	}
}

// turn deletes what has expired and makes what is due. It says whether a backup failed.
func (s *Schedule) turn(ctx context.Context, notBefore time.Time) (failed bool) {
	files, err := s.files(ctx)
	if err == nil {
		files, err = s.expire(ctx, files)
	}
	if err != nil {
		s.fail("the backups that were made cannot be looked through", err)
		return false
	}
	last := time.Time{}
	for _, f := range files {
		if f.Moment.After(last) {
			last = f.Moment
		}
	}
	now := s.now()
	next := last.Add(s.plan.Every)
	if last.IsZero() || last.After(now) {
		next = now // the first one; or the clock was wrong
	}
	s.tell(last, next, len(files))
	if now.Before(next) || now.Before(notBefore) {
		return false
	}
	name, made, err := s.one(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.fail("the backup that was due could not be made", err)
		}
		return true
	}
	s.log.Info("a backup was made", "file", name, "bytes", made.Bytes, "expires", made.Expires)
	s.mu.Lock()
	s.status.Failure = ""
	s.mu.Unlock()
	s.tell(made.Moment, made.Moment.Add(s.plan.Every), len(files)+1)
	return false
}

func (s *Schedule) tell(last, next time.Time, files int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Last, s.status.Next, s.status.Files = last, next, files
}

func (s *Schedule) fail(what string, err error) {
	s.log.Error(what, "error", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Failure = what
	s.status.Failures++
}

// files reads the rows of the files that were made.
func (s *Schedule) files(ctx context.Context) (map[string]file, error) {
	rows, err := s.meta.List(ctx, eventstore.DefaultTenant, tableBackups)
	if err != nil {
		return nil, err
	}
	out := map[string]file{}
	for name, value := range rows {
		var f file
		if err := json.Unmarshal(value, &f); err != nil {
			return nil, fmt.Errorf("%w: the row of a backup cannot be read", eventstore.ErrDamaged)
		}
		out[name] = f
	}
	return out, nil
}

// expire deletes the files whose time is over, and forgets those that somebody took away.
func (s *Schedule) expire(ctx context.Context, files map[string]file) (map[string]file, error) {
	for name, f := range files {
		path := filepath.Join(s.plan.Dir, name)
		mine, err := s.mine(path, name, f)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			// Somebody took it away, or a crash came before it had its name.
			if f.There && s.now().Before(f.Expires) {
				continue
			}
		case err != nil:
			return nil, err
		case s.now().Before(f.Expires):
			continue
		case !mine:
			s.log.Warn("a file stands where a backup was that has expired; it is another one and is left alone", "file", name)
		default:
			if err := errors.Join(os.Remove(path), syncDir(s.plan.Dir)); err != nil {
				return nil, fmt.Errorf("deleting a backup that has expired: %w", err)
			}
			s.log.Info("a backup that had expired was deleted", "file", name)
		}
		if err := s.meta.Delete(ctx, eventstore.DefaultTenant, tableBackups, name); err != nil {
			return nil, err
		}
		delete(files, name)
	}
	return files, nil
}

const ageHead = "age-encryption.org/v1\n"

// mine says whether the file at path is the one that a row is about.
func (s *Schedule) mine(path, name string, f file) (bool, error) {
	in, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return false, err
	}
	head := make([]byte, len(ageHead))
	n, err := io.ReadFull(in, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return false, err
	}
	return name == s.name(f.Moment, f.Expires) && info.Mode().IsRegular() && info.Size() == f.Size && bytes.Equal(head[:n], []byte(ageHead)), nil
}

// name is the name of a file: nothing in it is secret.
func (s *Schedule) name(moment, expires time.Time) string {
	return fmt.Sprintf("%s%s-until-%s.age", s.prefix(), moment.UTC().Format("20060102T150405.000Z"), expires.UTC().Format("20060102T150405Z"))
}

func (s *Schedule) prefix() string { return "oubli-" + s.vault.String()[:8] + "-" }

// one makes one backup.
func (s *Schedule) one(ctx context.Context) (name string, made Made, err error) {
	if err := os.MkdirAll(s.plan.Dir, 0o700); err != nil {
		return "", made, err
	}
	part := filepath.Join(s.plan.Dir, "."+s.prefix()+strconv.FormatInt(s.now().UnixNano(), 36)+".part")
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", made, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
			os.Remove(part)
		}
	}()
	order := Order{Recipients: s.plan.Recipients, Keep: s.plan.Keep, Token: eventstore.TokenSystem}
	if made, err = s.make(ctx, order, f); err != nil {
		return "", made, err
	}
	if err = f.Sync(); err != nil {
		return "", made, err
	}
	name = s.name(made.Moment, made.Expires)
	// The row first: a file without one would never be deleted.
	row := file{Moment: made.Moment, Expires: made.Expires, Size: made.Bytes}
	if err = s.put(ctx, name, row); err != nil {
		return "", made, err
	}
	if err = errors.Join(os.Rename(part, filepath.Join(s.plan.Dir, name)), syncDir(s.plan.Dir)); err != nil {
		return "", made, err
	}
	row.There = true
	return name, made, errors.Join(f.Close(), s.put(ctx, name, row))
}

func (s *Schedule) put(ctx context.Context, name string, f file) error {
	value, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return s.meta.Put(ctx, eventstore.DefaultTenant, tableBackups, name, value)
}

// clean deletes parts that a crash left.
func (s *Schedule) clean() {
	entries, err := os.ReadDir(s.plan.Dir)
	if err != nil {
		return // it is made with the first backup, or that says what is wrong
	}
	for _, e := range entries {
		if name := e.Name(); strings.HasPrefix(name, "."+s.prefix()) && strings.HasSuffix(name, ".part") && e.Type().IsRegular() {
			_ = os.Remove(filepath.Join(s.plan.Dir, name)) // it is tried again at the next start
		}
	}
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
