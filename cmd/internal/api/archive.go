package api

import (
	"archive/zip"
	"bufio"
	"context"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/oubli-store/oubli/cmd/internal/pages"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

// writeArchive writes a person's copy as a zip: export.json, export.html, and the files under attachments/. The events are read once for each of the two
// documents; what came in meanwhile is in neither. Memory does not grow with the events; of each file some 300 bytes are held.
//
// A file that cannot be read breaks the archive off, before its directory: nobody takes it for the whole.
func (a *API) writeArchive(ctx context.Context, w io.Writer, tenant eventstore.TenantID, from pages.From, c *rights.Copy) error {
	out := bufio.NewWriterSize(w, 64<<10)
	archive := zip.NewWriter(out)
	entry := func(name string, at time.Time, write func(io.Writer) error) error {
		f, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: at.UTC()})
		if err != nil {
			return err
		}
		return write(f)
	}
	if err := entry("export.json", c.About.Generated, c.WriteJSON); err != nil {
		return err
	}
	var files []attached
	named := func(r eventstore.Recorded) string {
		// Only what reading the file needs is kept.
		f := attached{name: fileInArchive(len(files)+1, r.Event.Attachment.Name), of: eventstore.Recorded{ID: r.ID, Person: r.Person, Sequence: r.Sequence, Received: r.Received,
			Event: eventstore.Event{Time: r.Event.Time, Attachment: r.Event.Attachment}}}
		files = append(files, f)
		return f.name
	}
	page := func(w io.Writer) error { return pages.WriteCopy(w, from, c, named) }
	if err := entry("export.html", c.About.Generated, page); err != nil {
		return err
	}
	for _, f := range files {
		at := f.of.Received
		if err := entry(f.name, at, func(w io.Writer) error { return a.copyFile(ctx, w, tenant, f.of) }); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return out.Flush()
}

// attached is a file and its name in an archive.
type attached struct {
	name string
	of   eventstore.Recorded
}

func (a *API) copyFile(ctx context.Context, w io.Writer, tenant eventstore.TenantID, of eventstore.Recorded) error {
	if a.Attachments == nil {
		return errNoAttachments
	}
	in, err := a.Attachments.ReadAttachment(ctx, tenant, of)
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = io.Copy(w, in)
	return err
}

// maxArchived bounds what stays of a file's own name, in characters.
const maxArchived = 80

// fileInArchive is where the n-th file stands: attachments/0001-photo.jpg. The number makes it unique; of the sender's name the last element is left, without what some
// file system or shell takes for more than a letter, so that it can be unpacked anywhere and never outside its folder.
func fileInArchive(n int, name string) string {
	name = name[strings.LastIndexAny(name, `/\\`)+1:]
	var b strings.Builder
	for _, r := range name {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), unicode.Is(unicode.Mn, r), r == '.', r == '-', r == '_':
			b.WriteRune(r)
		case r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Cf, r):
		default:
			b.WriteByte('_')
		}
	}
	safe := strings.Trim(b.String(), ". ")
	if runes := []rune(safe); len(runes) > maxArchived {
		suffix := []rune(path.Ext(safe))
		if len(suffix) > 12 {
			suffix = nil
		}
		safe = string(runes[:maxArchived-len(suffix)]) + string(suffix)
	}
	if safe == "" {
		safe = "file"
	}
	return fmt.Sprintf("attachments/%04d-%s", n, safe)
}
