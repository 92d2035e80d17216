package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/oubli-store/oubli/eventstore"
)

// stampFile is written when a server stops in good order: it lists every file below the directories of the rooms with its size and a checksum. The
// next start compares before anything is opened, and takes it away. So damage that the databases and the NATS server would cut off and go on with, or delete
// files over, is named while nothing has been touched yet. After a crash there is none, and each room looks for itself.
const stampFile = "stopped"

const (
	stampHead = "oubli stopped in good order, version 1\n"
	// stampBudget bounds what is read at a start and at a stop: the smallest files first; of the others the size alone is compared.
	stampBudget = 4 << 30
	// namedDamages bounds what an error names.
	namedDamages = 8
)

// stamped are the directories that a stamp covers.
var stamped = []string{"log", "nats", "projections", "roots", "vault"}

// seen is a file as it was seen. The checksum is there if hashed is set.
type seen struct {
	size   int64
	mtime  time.Time
	sum    uint64
	hashed bool
}

// look lists the files below the stamped directories; locks are no data.
func (d *dataDir) look() (map[string]seen, error) {
	out := map[string]seen{}
	for _, top := range stamped {
		err := filepath.WalkDir(d.in(top), func(path string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) && path == d.in(top) {
				return nil
			}
			if err != nil || e.IsDir() || e.Name() == "LOCK" {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(d.path, path)
			out[rel] = seen{size: info.Size(), mtime: info.ModTime()}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("looking at what is in the data directory: %w", err)
		}
	}
	return out, nil
}

// bySize are the names of files, the smallest first.
func bySize(files map[string]seen) []string {
	out := make([]string, 0, len(files))
	for name := range files {
		out = append(out, name)
	}
	slices.SortFunc(out, func(a, b string) int {
		if n := files[a].size - files[b].size; n != 0 {
			return int(max(-1, min(1, n)))
		}
		return strings.Compare(a, b)
	})
	return out
}

// sum reads a file; with sync set it is on the disk, as it was read, when sum returns.
func (d *dataDir) sum(name string, sync bool) (uint64, error) {
	f, err := os.Open(d.in(name))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	h := xxhash.New()
	if _, err := io.Copy(h, f); err != nil {
		return 0, err
	}
	if sync {
		err = f.Sync()
	}
	return h.Sum64(), err
}

// unstamp compares the directory with its stamp, if it has one, and takes the stamp away. ErrDamaged names what differs; nothing is changed then. With asItIs
// set nothing is compared.
func (d *dataDir) unstamp(asItIs bool) error {
	b, err := os.ReadFile(d.in(stampFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", d.in(stampFile), err)
	}
	if asItIs {
		return errors.Join(os.Remove(d.in(stampFile)), syncDir(d.path))
	}
	if d.fresh {
		return fmt.Errorf("%w: %s is cut", eventstore.ErrDamaged, d.in(formatFile))
	}
	was, err := parseStamp(b)
	if err != nil {
		return fmt.Errorf("%w: %s, the list of the files at the last stop, does not hold what oubli wrote there (%w); if nothing else is damaged, remove it and start again",
			eventstore.ErrDamaged, d.in(stampFile), err)
	}
	now, wrong, err := d.compare(was)
	if err != nil {
		return err
	}
	if len(wrong) > 0 {
		derived := !slices.ContainsFunc(wrong, func(w string) bool { return !strings.HasPrefix(w, "projections"+string(filepath.Separator)) })
		more := ""
		if n := len(wrong); n > namedDamages {
			more = fmt.Sprintf(", and %d more", n-namedDamages)
			wrong = wrong[:namedDamages]
		}
		err := fmt.Errorf("%w since the server stopped, in %s: %s%s; nothing was changed: put back what was there, or all of the directory", eventstore.ErrDamaged,
			d.path, strings.Join(wrong, ", "), more)
		if derived {
			return rebuildable(d.in("projections"), err)
		}
		return err
	}
	if err := errors.Join(os.Remove(d.in(stampFile)), syncDir(d.path)); err != nil {
		return cannotWrite(d.path, err)
	}
	d.known, d.whole = now, true
	return nil
}

// differences compares the directory with its stamp, if there is one, and leaves both as they are.
func (d *dataDir) differences() ([]string, error) {
	b, err := os.ReadFile(d.in(stampFile))
	if errors.Is(err, fs.ErrNotExist) {
		return []string{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", d.in(stampFile), err)
	}
	was, err := parseStamp(b)
	if err != nil {
		return []string{stampFile + ": " + err.Error()}, nil
	}
	_, wrong, err := d.compare(was)
	return append([]string{}, wrong...), err
}

// compare says in what the directory differs from a stamp. A directory that is not there at all is left to its room, which says what to do.
func (d *dataDir) compare(was map[string]seen) (now map[string]seen, wrong []string, err error) {
	if now, err = d.look(); err != nil {
		return nil, nil, err
	}
	for name := range now {
		if _, ok := was[name]; !ok {
			wrong = append(wrong, name+" was not there")
		}
	}
	left := int64(stampBudget)
	for _, name := range bySize(was) {
		w, n := was[name], now[name]
		top, _, _ := strings.Cut(name, string(filepath.Separator))
		_, there := now[name]
		switch _, err := os.Stat(d.in(top)); {
		case errors.Is(err, fs.ErrNotExist):
		case !there:
			wrong = append(wrong, name+" is missing")
		case w.size != n.size:
			wrong = append(wrong, fmt.Sprintf("%s is %d bytes long and not %d", name, n.size, w.size))
		case w.hashed && w.size <= left:
			left -= w.size
			if n.sum, err = d.sum(name, false); err != nil {
				return nil, nil, fmt.Errorf("reading %s: %w", d.in(name), err)
			}
			if n.hashed = true; n.sum != w.sum {
				wrong = append(wrong, name+" holds other bytes")
			}
			now[name] = n
		}
	}
	slices.Sort(wrong)
	return now, wrong, nil
}

// stamp writes the stamp. What has not changed since the start is not read again. Everything is synced before.
func (d *dataDir) stamp(ctx context.Context) error {
	now, err := d.look()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteString(stampHead)
	left := int64(stampBudget)
	dirs := map[string]bool{d.path: true}
	for _, name := range bySize(now) {
		n := now[name]
		if k := d.known[name]; k.hashed && k.size == n.size && k.mtime.Equal(n.mtime) {
			n.sum, n.hashed = k.sum, true
		} else {
			if err := ctx.Err(); err != nil {
				return err
			}
			if n.hashed = n.size <= left; n.hashed {
				left -= n.size
				if n.sum, err = d.sum(name, true); err != nil {
					return err
				}
			}
			for dir := filepath.Dir(d.in(name)); !dirs[dir]; dir = filepath.Dir(dir) {
				if err := syncDir(dir); err != nil {
					return err
				}
				dirs[dir] = true
			}
		}
		sum := "-"
		if n.hashed {
			sum = fmt.Sprintf("%016x", n.sum)
		}
		fmt.Fprintf(&b, "%s %d %s\n", sum, n.size, name)
	}
	fmt.Fprintf(&b, "%016x\n", xxhash.Sum64(b.Bytes()))
	return writeSynced(d.path, stampFile, b.Bytes())
}

// writeSynced replaces a file, durably.
func writeSynced(dir, name string, b []byte) error {
	tmp := filepath.Join(dir, name+".new")
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return errors.Join(os.Rename(tmp, filepath.Join(dir, name)), syncDir(dir))
}

// parseStamp reads a stamp.
func parseStamp(b []byte) (map[string]seen, error) {
	body, ok := bytes.CutPrefix(b, []byte(stampHead))
	const last = 17
	if !ok || len(body) < last || fmt.Sprintf("%016x\n", xxhash.Sum64(b[:len(b)-last])) != string(b[len(b)-last:]) {
		return nil, errors.New("its checksum does not hold")
	}
	out := map[string]seen{}
	lines := bufio.NewScanner(bytes.NewReader(body[:len(body)-last]))
	for lines.Scan() {
		var s seen
		sum, rest, _ := strings.Cut(lines.Text(), " ")
		size, name, ok := strings.Cut(rest, " ")
		if _, err := fmt.Sscan(size, &s.size); err != nil || !ok {
			return nil, errors.New("a line is cut")
		}
		if sum != "-" {
			if _, err := fmt.Sscanf(sum, "%x", &s.sum); err != nil {
				return nil, errors.New("a line is cut")
			}
			s.hashed = true
		}
		out[name] = s
	}
	return out, lines.Err()
}
