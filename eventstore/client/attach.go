package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// File is a file to be sent with an event.
type File struct {
	// Name and ContentType are kept in the sealed event. ContentType may be empty.
	Name, ContentType string
	// Size is in bytes; negative if it is not known.
	Size int64
	// Open begins to read the file, anew for each try.
	Open func() (io.ReadCloser, error)
}

// slowest is how fast a file must be sent at least, in bytes a second: [Config.TryTimeout] and the time that this takes bound one try.
const slowest = 256 << 10

// Attach stores an event of type attachment with its file, and returns once the server has both on disk. It is tried again as the package comment says; each try sends
// the whole file. It holds little of it in memory.
//
// Errors as [Client.Append]; an error of File.Open, and of reading, is returned as it is. [eventstore.ErrTooLarge] for a file that the tenant does not take.
func (c *Client) Attach(ctx context.Context, e eventstore.Event, f File) (eventstore.Receipt, error) {
	e.Type = eventstore.TypeAttachment
	body, err := encode(e)
	if err != nil {
		return eventstore.Receipt{}, err
	}
	p := c.patience()
	for {
		receipt, err := c.attach(ctx, body, f)
		if err == nil {
			return receipt, nil
		}
		if err := p.wait(ctx, err); err != nil {
			return eventstore.Receipt{}, err
		}
	}
}

// attach is one try.
func (c *Client) attach(ctx context.Context, event []byte, f File) (receipt eventstore.Receipt, err error) {
	head, tail, contentType, err := form(event, f)
	if err != nil {
		return receipt, err
	}
	in, err := f.Open()
	if err != nil {
		return receipt, err
	}
	defer in.Close()
	file := &source{Reader: in}
	s := sending{url: c.attachments, contentType: contentType, accept: "application/json", length: -1,
		body: io.MultiReader(bytes.NewReader(head), file, bytes.NewReader(tail))}
	size := int64(eventstore.MaxAttachment)
	if f.Size >= 0 {
		size = f.Size
		s.length = int64(len(head)) + f.Size + int64(len(tail))
	}
	s.within = c.c.TryTimeout + time.Duration(size/slowest)*time.Second
	err = c.send(ctx, s, func(r io.Reader) error {
		return json.NewDecoder(io.LimitReader(r, maxReceipt)).Decode(&receipt)
	})
	if err != nil && file.err != nil {
		err = file.err
	}
	return receipt, err
}

// source remembers why a file could not be read.
type source struct {
	io.Reader
	err error
}

// Read implements [io.Reader].
func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

var errFileName = eventstore.Refuse(eventstore.KindInvalid, "file", "the name or the content type of the file cannot be sent")

// form gives what stands before and behind the file in the form that the server takes.
func form(event []byte, f File) (head, tail []byte, contentType string, err error) {
	var out bytes.Buffer
	w := multipart.NewWriter(&out)
	media := f.ContentType
	if media == "" {
		media = "application/octet-stream"
	}
	disposition := mime.FormatMediaType("form-data", map[string]string{"name": "file", "filename": f.Name})
	if _, _, err := mime.ParseMediaType(media); err != nil || disposition == "" {
		return nil, nil, "", errFileName
	}
	part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="event"`}, "Content-Type": {"application/json"}})
	if err == nil {
		_, err = part.Write(event)
	}
	if err == nil {
		_, err = w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {disposition}, "Content-Type": {media}})
	}
	headed := out.Len()
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, nil, "", err
	}
	return out.Bytes()[:headed], out.Bytes()[headed:], w.FormDataContentType(), nil
}
