package settings

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// RootDirs are the directories of the root register: one for each copy.
func (s Server) RootDirs() []string {
	if dirs := filepath.SplitList(s.Roots); len(dirs) > 0 {
		return dirs
	}
	return []string{filepath.Join(s.Data, "roots")}
}

// volume is what there is to know of the filesystem of a path.
type volume struct {
	device uint64
	known  bool
	// weak says why an effaced root may stay, or be lost; empty if nothing is known against it.
	weak string
}

const (
	copiesOnWrite = "this filesystem does not overwrite in place (copy-on-write, log-structured or layered), so an erased root would stay; use ext4 or xfs, without snapshots"
	journalsData  = "this filesystem also writes data into its journal (data=journal), where an erased root would stay for a while; mount it with data=ordered"
	inMemory      = "this filesystem is in memory: the next reboot loses every root, and with them everything"
	elsewhere     = "this filesystem is on another machine or in another program, of which nobody here can tell whether it overwrites in place; use a local disk with ext4 or xfs"
)

// Filesystems by their magic numbers (statfs(2)).
var weaknesses = map[int64]string{
	0x9123683e: copiesOnWrite, // btrfs
	0x2fc12fc1: copiesOnWrite, // zfs
	0xca451a4e: copiesOnWrite, // bcachefs
	0x794c7630: copiesOnWrite, // overlayfs
	0x61756673: copiesOnWrite, // aufs
	0x3434:     copiesOnWrite, // nilfs2
	0xf2f52010: copiesOnWrite, // f2fs
	0x24051905: copiesOnWrite, // ubifs
	0x72b6:     copiesOnWrite, // jffs2
	0x01021994: inMemory,      // tmpfs
	0x858458f6: inMemory,      // ramfs
	0x6969:     elsewhere,     // nfs
	0xff534d42: elsewhere,     // cifs
	0xfe534d42: elsewhere,     // smb2
	0x01021997: elsewhere,     // 9p
	0x00c36400: elsewhere,     // ceph
	0x65735546: elsewhere,     // fuse
}

const ext4 = 0xef53

// places lists what is wrong in production with where the root register is.
func (s Server) places(at func(string) volume) (r Refusals) {
	vault := at(filepath.Join(s.Data, "vault"))
	seen := map[uint64]bool{}
	for _, dir := range s.RootDirs() {
		roots := at(dir)
		switch {
		case !roots.known || !vault.known:
			r = append(r, fmt.Sprintf("roots: it cannot be told on which filesystem %s is; create the directory first", dir))
		case roots.device == vault.device:
			r = append(r, fmt.Sprintf("roots: in production %s must be on another filesystem than the data directory, so that no backup or snapshot takes both", dir))
		case seen[roots.device]:
			r = append(r, fmt.Sprintf("roots: in production %s must be on another filesystem than the other copies, or it is lost with them", dir))
		}
		seen[roots.device] = true
	}
	return append(r, s.weakPlaces(at)...)
}

// WeakRoots says what is known against the filesystems of the root register: one line for each directory concerned. In production [Server.Check]
// refuses them.
func (s Server) WeakRoots() []string { return s.weakPlaces(filesystem) }

func (s Server) weakPlaces(at func(string) volume) (out []string) {
	for _, dir := range s.RootDirs() {
		if weak := at(dir).weak; weak != "" {
			out = append(out, fmt.Sprintf("roots: %s: %s", dir, weak))
		}
	}
	return out
}

// filesystem looks at the nearest directory of a path that exists.
func filesystem(path string) volume {
	path, err := filepath.Abs(path)
	if err != nil {
		return volume{}
	}
	for {
		info, err := os.Stat(path)
		if err == nil {
			st, ok := info.Sys().(*syscall.Stat_t)
			var fs syscall.Statfs_t
			if !ok || syscall.Statfs(path, &fs) != nil {
				return volume{}
			}
			v := volume{device: uint64(st.Dev), known: true, weak: weaknesses[int64(fs.Type)&0xffffffff]}
			if mounts, err := os.ReadFile("/proc/self/mountinfo"); err == nil && fs.Type == ext4 && journaled(string(mounts), v.device) {
				v.weak = journalsData
			}
			return v
		}
		if !os.IsNotExist(err) || filepath.Dir(path) == path {
			return volume{}
		}
		path = filepath.Dir(path)
	}
}

// journaled says whether a device is mounted so that data goes through the journal, by the text of mountinfo (proc_pid_mountinfo(5)).
func journaled(mounts string, device uint64) bool {
	want := fmt.Sprintf("%d:%d", unix.Major(device), unix.Minor(device))
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[2] != want {
			continue
		}
		for option := range strings.SplitSeq(fields[len(fields)-1], ",") {
			if option == "data=journal" {
				return true
			}
		}
	}
	return false
}
