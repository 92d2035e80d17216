package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// maxObject bounds one object.
const maxObject = 128 << 20

// place holds whole objects by name; the empty name is the document's.
type place interface {
	// get reads an object. ErrNotFound.
	get(ctx context.Context, name string) ([]byte, error)
	// put replaces an object, durably as far as the place can.
	put(ctx context.Context, name string, data []byte) error
}

// placeOf finds the place that a setting names.
func placeOf(source string) (place, error) {
	if !strings.HasPrefix(source, "http://") && !strings.HasPrefix(source, "https://") {
		path, err := filepath.Abs(source)
		return file(path), err
	}
	u, err := url.Parse(source)
	if err != nil || u.Host == "" {
		return nil, eventstore.Refuse(eventstore.KindInvalid, "checkpoint", "the place of the checkpoint is a path or a URL https://…")
	}
	return &remote{base: u, client: &http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// file is a place in a filesystem.
type file string

func (f file) path(name string) string {
	if name == "" {
		return string(f)
	}
	return filepath.Join(string(f)+".d", filepath.FromSlash(name))
}

func (f file) get(_ context.Context, name string) ([]byte, error) {
	in, err := os.Open(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, eventstore.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return readAll(in)
}

func readAll(in io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(in, maxObject+1))
	if err == nil && len(data) > maxObject {
		err = fmt.Errorf("%w: an object of the checkpoint is too large", eventstore.ErrDamaged)
	}
	return data, err
}

func (f file) put(_ context.Context, name string, data []byte) error {
	path := f.path(name)
	dir := filepath.Dir(path)
	if name != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	out, err := os.CreateTemp(dir, ".checkpoint-*")
	if err != nil {
		return err
	}
	_, err = out.Write(data)
	err = errors.Join(err, out.Sync(), out.Close())
	if err == nil {
		err = os.Rename(out.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(out.Name()))
	}
	folders := []string{dir}
	if name != "" {
		folders = append(folders, string(f)+".d", filepath.Dir(string(f)))
	}
	for _, dir := range folders {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// remote is a place behind HTTP.
type remote struct {
	base   *url.URL
	client *http.Client
}

func (r *remote) do(ctx context.Context, method, name string, data []byte) (*http.Response, error) {
	u := *r.base
	if name != "" {
		u.Path, u.RawPath = u.Path+".d/"+name, ""
	}
	q, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(data))
	if err != nil {
		return nil, errRemote
	}
	q.Header.Set("Content-Type", "application/octet-stream")
	resp, err := r.client.Do(q)
	if err != nil {
		return nil, errRemote // the cause repeats the URL, which may hold a secret
	}
	return resp, nil
}

var errRemote = errors.New("the server of the checkpoint does not answer")

func (r *remote) get(ctx context.Context, name string) ([]byte, error) {
	resp, err := r.do(ctx, http.MethodGet, name, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return readAll(resp.Body)
	case http.StatusNotFound:
		return nil, eventstore.ErrNotFound
	}
	return nil, fmt.Errorf("the server of the checkpoint answers GET with %d", resp.StatusCode)
}

func (r *remote) put(ctx context.Context, name string, data []byte) error {
	resp, err := r.do(ctx, http.MethodPut, name, data)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the server of the checkpoint answers PUT with %d", resp.StatusCode)
	}
	return nil
}
