package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

// Attachments is what the API needs of [eventstore.Store] and [rights.Service] for files.
type Attachments interface {
	Attach(ctx context.Context, caller eventstore.Caller, e eventstore.Event, file eventstore.File, body io.Reader, declared int64) (eventstore.Receipt, error)
	ReadAttachment(ctx context.Context, tenant eventstore.TenantID, r eventstore.Recorded) (*eventstore.AttachmentReader, error)
	LargestAttachment(tenant eventstore.TenantID) uint64

	Attachment(ctx context.Context, tenant eventstore.TenantID, actor rights.Actor, bot eventstore.BotID, ref eventstore.AttachmentRef) (eventstore.Recorded, error)
	Attaching(ctx context.Context, tenant eventstore.TenantID, actor rights.Actor, id eventstore.Identity) error
}

const (
	formType   = "multipart/form-data"
	binaryType = "application/octet-stream"
	// aroundFile is how much of a form may stand beside its event and its file.
	aroundFile = 64 << 10
	// maxTransfers bounds how many files go in, and how many go out, at a time: each takes some 10 MiB of memory.
	maxTransfers = 8
)

var (
	errNoAttachments = eventstore.Refuse(eventstore.KindUnavailable, "", "this server keeps no attachments")
	errTwoParts      = eventstore.Refuse(eventstore.KindInvalid, "", "send a form (multipart/form-data) of two parts: event, which is the event as JSON, then file")
	errFileSize      = eventstore.Refuse(eventstore.KindTooLarge, "file", "the file is larger than the tenant takes (its setting attachment_max)")
)

func (a *API) registerAttachments() {
	post := operation("attach", "POST", "/v1/attachments", "Append an event with a file")
	post.Description = "A form of two parts, in this order: event, an event of type attachment as JSON, and file, whose file name and content type are kept in the sealed event. " +
		"201 once both are on disk. The same event and file under the same id again: the same answer with duplicate. The file is streamed."
	event := a.schema(eventstore.Event{}, "Event")
	form := &huma.Schema{Type: "object", Required: []string{"event", "file"}, Properties: map[string]*huma.Schema{
		"event": event, "file": {Type: "string", ContentEncoding: "binary", Description: "At most 1 GiB, or what the tenant's setting attachment_max says"}}}
	post.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{formType: {Schema: form, Encoding: map[string]*huma.Encoding{"event": {ContentType: jsonType}}}}}
	post.Responses = map[string]*huma.Response{"201": {Description: "The event and the file are on disk",
		Content: map[string]*huma.MediaType{jsonType: {Schema: a.schema(eventstore.Receipt{}, "Receipt")}}}}
	post.Parameters = []*huma.Param{keepOldParameter()}
	a.raw(post, func(w http.ResponseWriter, r *http.Request, c *call) error { return a.postAttachment(w, r, c, &post) })

	get := operation("read-attachment", "GET", "/v1/attachments/{id}", "Read the file of an event")
	get.Description = "A bot reads the files of its own events. One range of bytes can be asked for (Range). The content type is what the sender named; the answer is never to be shown in place (Content-Disposition: attachment)."
	get.Parameters = []*huma.Param{parameter("path", "id", "string", "attachment.id of the event")}
	file := map[string]*huma.MediaType{binaryType: {Schema: &huma.Schema{Type: "string", ContentEncoding: "binary"}}}
	get.Responses = map[string]*huma.Response{"200": {Description: "The file", Content: file}, "206": {Description: "A range of it", Content: file}}
	a.raw(get, a.getAttachment)
}

// transfer takes one of a few places.
func transfer(places chan struct{}) (leave func(), err error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	default:
		return nil, errBusy
	}
}

func (a *API) postAttachment(w http.ResponseWriter, r *http.Request, c *call, op *huma.Operation) (err error) {
	if a.Attachments == nil {
		return errNoAttachments
	}
	q, err := queries(r, op)
	if err == nil {
		err = c.keepOld(q)
	}
	if err != nil {
		return err
	}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != formType || params["boundary"] == "" {
		return errMediaType
	}
	if r.ContentLength > 0 && uint64(r.ContentLength) > a.Attachments.LargestAttachment(c.tenant)+eventstore.MaxEvent+aroundFile {
		return errFileSize
	}
	leave, err := transfer(a.incoming)
	if err != nil {
		return err
	}
	defer leave()
	var receipt eventstore.Receipt
	defer func() { a.metrics.event(c.tenant, receipt, err) }()
	form := multipart.NewReader(r.Body, params["boundary"])
	e, length, err := eventPart(form)
	if err != nil {
		return err
	}
	if err := a.attaching(r.Context(), c, e); err != nil {
		return err
	}
	file, body, err := filePart(form)
	if err != nil {
		return err
	}
	receipt, err = a.Attachments.Attach(r.Context(), c.caller(), e, file, body, max(-1, r.ContentLength-int64(length)-aroundFile))
	if err != nil {
		return bodyError(err)
	}
	return writeJSON(w, http.StatusCreated, receipt)
}

// eventPart reads the first part of a form.
func eventPart(form *multipart.Reader) (e eventstore.Event, length int, err error) {
	part, err := nextPart(form, "event")
	if err != nil {
		return e, 0, err
	}
	raw, err := io.ReadAll(io.LimitReader(part, eventstore.MaxEvent+1))
	switch {
	case err != nil:
		return e, 0, formError(err)
	case len(raw) > eventstore.MaxEvent:
		return e, 0, errBodySize
	}
	e, err = eventstore.ParseEvent(raw)
	return e, len(raw), err
}

// filePart begins to read the last part of a form.
func filePart(form *multipart.Reader) (f eventstore.File, body io.Reader, err error) {
	part, err := nextPart(form, "file")
	if err != nil {
		return f, nil, err
	}
	f = eventstore.File{Name: part.FileName(), ContentType: part.Header.Get("Content-Type")}
	if f.ContentType == "" {
		f.ContentType = binaryType
	}
	return f, &lastPart{form, part}, nil
}

func nextPart(form *multipart.Reader, name string) (*multipart.Part, error) {
	part, err := form.NextPart()
	switch {
	case errors.Is(err, io.EOF):
		return nil, errTwoParts
	case err != nil:
		return nil, formError(err)
	case part.FormName() != name:
		return nil, errTwoParts
	}
	return part, nil
}

// formError tells a form that is none from a body that broke off or came too slowly.
func formError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || problemOf(err).Status != http.StatusInternalServerError {
		return bodyError(err)
	}
	return errTwoParts.Because(err)
}

// lastPart ends when its form does: a file is whole only then.
type lastPart struct {
	form *multipart.Reader
	part *multipart.Part
}

// Read implements [io.Reader].
func (p *lastPart) Read(b []byte) (int, error) {
	n, err := p.part.Read(b)
	if err == nil {
		return n, nil
	}
	if err != io.EOF {
		return n, formError(err)
	}
	switch _, err := p.form.NextPart(); {
	case err == nil:
		return n, errTwoParts
	case err != io.EOF:
		return n, formError(err)
	}
	return n, io.EOF
}

// attaching makes the ledger entry of support staff who add a file.
func (a *API) attaching(ctx context.Context, c *call, e eventstore.Event) error {
	if c.role == bot {
		return nil
	}
	e, err := a.Door.Admit(c.caller(), e, a.now())
	if err != nil {
		return err
	}
	return a.Attachments.Attaching(ctx, c.tenant, c.actor(), *e.Identity)
}

func (a *API) getAttachment(w http.ResponseWriter, r *http.Request, c *call) error {
	if a.Attachments == nil {
		return errNoAttachments
	}
	ref, err := eventstore.ParseAttachmentRef(r.PathValue("id"))
	if err != nil {
		return err
	}
	leave, err := transfer(a.outgoing)
	if err != nil {
		return err
	}
	defer leave()
	var only eventstore.BotID
	if c.role == bot {
		only = c.token.Bot
	}
	e, err := a.Attachments.Attachment(r.Context(), c.tenant, c.actor(), only, ref)
	if err != nil {
		return err
	}
	in, err := a.Attachments.ReadAttachment(r.Context(), c.tenant, e)
	if err != nil {
		return err
	}
	defer in.Close()
	return serveFile(w, r, in)
}

// serveFile streams a file. What is known to be wrong with it before the first byte is an answer of its own; what comes up later breaks the connection off.
func serveFile(w http.ResponseWriter, r *http.Request, in *eventstore.AttachmentReader) error {
	if _, err := in.Read(make([]byte, 1)); err != nil && err != io.EOF {
		return err
	}
	file := in.File()
	h := w.Header()
	h.Set("Content-Type", safeType(file.ContentType))
	h.Set("Content-Disposition", disposition(file.Name))
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("ETag", fmt.Sprintf(`"%x"`, []byte(file.SHA256)))
	if strings.Contains(r.Header.Get("Range"), ",") {
		r.Header.Del("Range") // each range begins to read anew
	}
	watched := &watched{AttachmentReader: in}
	http.ServeContent(w, r, "", time.Time{}, watched)
	return watched.err
}

// watched remembers what went wrong.
type watched struct {
	*eventstore.AttachmentReader
	err error
}

// Read implements [io.Reader].
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.AttachmentReader.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// safeType is a content type as it may stand in a header.
func safeType(s string) string {
	media, params, err := mime.ParseMediaType(s)
	if err != nil {
		return binaryType
	}
	if out := mime.FormatMediaType(media, params); out != "" {
		return out
	}
	return binaryType
}

// disposition has a file saved, never shown, under the last element of its name. What cannot stand in a header is encoded (RFC 2231).
func disposition(name string) string {
	name = name[strings.LastIndexAny(name, `/\\`)+1:]
	if name == "" {
		return "attachment"
	}
	if out := mime.FormatMediaType("attachment", map[string]string{"filename": name}); out != "" {
		return out
	}
	return "attachment"
}
