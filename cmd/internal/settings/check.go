package settings

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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
	if s.Production {
		r = append(r, s.production(filesystem)...)
	}
	return r.err()
}

// volume is what there is to know of the filesystem of a path.
type volume struct {
	device      uint64
	copyOnWrite bool
	known       bool
}

// production lists what is fit for trying out only.
func (s Server) production(at func(string) volume) (r Refusals) {
	if s.KEK == "" || strings.HasPrefix(s.KEK, "file:") {
		r = append(r, "kek: in production the key-encryption key must be in a KMS (hcvault://…, aws-kms://…), not in a local file")
	}
	roots, vault := at(s.Roots), at(filepath.Join(s.Data, "vault"))
	switch {
	case !roots.known || !vault.known:
		r = append(r, "roots: it cannot be told on which filesystem it is; create the directory first")
	case roots.device == vault.device:
		r = append(r, "roots: in production the root register must be on another filesystem than the data directory, so that no backup or snapshot takes both")
	}
	if roots.copyOnWrite {
		r = append(r, "roots: this filesystem does not overwrite in place (copy-on-write or layered), so an erased root would stay; use ext4 without snapshots")
	}
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

// Filesystems that do not overwrite in place, by their magic numbers (statfs(2)).
var copyOnWrite = map[int64]bool{
	0x9123683e: true, // btrfs
	0x2fc12fc1: true, // zfs
	0x794c7630: true, // overlayfs
	0xca451a4e: true, // bcachefs
	0xf2f52010: true, // f2fs, which writes a log
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
			return volume{device: uint64(st.Dev), copyOnWrite: copyOnWrite[int64(fs.Type)&0xffffffff], known: true}
		}
		if !os.IsNotExist(err) || filepath.Dir(path) == path {
			return volume{}
		}
		path = filepath.Dir(path)
	}
}
