package console

import (
	"io"
	"mime"
	"os"
	"path/filepath"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/client"
)

// attach sends the one event that there is with a file.
func (c appendCmd) attach(e *env, cl *client.Client) error {
	event, err := c.oneEvent(e)
	if err != nil {
		return err
	}
	info, err := os.Stat(c.Attach)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return usage("--attach names a file")
	}
	media := c.ContentType
	if media == "" {
		media = mime.TypeByExtension(filepath.Ext(c.Attach))
	}
	bar := e.progress(info.Size(), "storing", true)
	receipt, err := cl.Attach(e.ctx, event, client.File{Name: filepath.Base(c.Attach), ContentType: media, Size: info.Size(), Open: func() (io.ReadCloser, error) {
		f, err := os.Open(c.Attach)
		if err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{counting{f, bar}, f}, nil
	}})
	bar.Done()
	if err != nil {
		return err
	}
	if e.JSON {
		return e.document(receipt)
	}
	s := &sender{e: e}
	if err := s.stored(receipt); err != nil {
		return err
	}
	return s.finish()
}

// oneEvent reads the event of the file.
func (c appendCmd) oneEvent(e *env) (out eventstore.Event, err error) {
	if len(c.Files) > 1 {
		return out, usage("with --attach there is one event")
	}
	in := io.Reader(e.in)
	if c.Files[0] != "-" {
		f, err := os.Open(c.Files[0])
		if err != nil {
			return out, err
		}
		defer f.Close()
		in = f
	}
	n := 0
	for line, err := range eventstore.ReadEvents(in, 0) {
		if err == nil {
			err = line.Err
		}
		if err != nil {
			return out, err
		}
		out, n = line.Event, n+1
	}
	switch {
	case n != 1:
		return out, usage("with --attach there is one event")
	case out.Type != eventstore.TypeAttachment:
		return out, usage("with --attach the event is of type attachment")
	}
	return out, nil
}
