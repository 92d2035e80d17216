package console

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/client"
	"github.com/oubli-store/oubli/keyvault/secret"
)

// api is a server as a command sees it.
type api struct {
	base   string
	token  secret.Bytes
	tenant string
	http   http.Client
}

// tenantHeader names the tenant for tokens that may act for several.
const tenantHeader = "Oubli-Tenant"

// adminToken is the file of the first access token in a data directory.
const adminToken = "admin.token"

// api finds the server and the access token.
func (e *env) api() (*api, error) {
	token, err := e.accessToken()
	if err != nil {
		return nil, err
	}
	a := &api{base: strings.TrimRight(e.Server, "/"), token: token, tenant: e.Tenant}
	u, err := url.Parse(a.base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil {
		return nil, usage("--server is an address like " + client.DefaultServer)
	}
	if err := checkTenant(e.Tenant); err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = 2 * time.Minute
	a.http.Transport = transport
	a.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return a, nil
}

// checkTenant refuses what cannot stand in a header.
func checkTenant(tenant string) error {
	if tenant == "" {
		return nil
	}
	_, err := eventstore.ParseTenantID(tenant)
	return err
}

// withoutUserinfo hides what stands before the @ of an address: names and passwords.
func withoutUserinfo(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return address
	}
	u.User = url.User("[redacted]")
	return u.String()
}

// accessToken takes the token from where it was given most closely.
func (e *env) accessToken() (secret.Bytes, error) {
	file := e.TokenFile
	_, flag := e.given("token")
	if _, fileFlag := e.given("token-file"); e.Token != "" && (flag || !fileFlag) {
		return secret.New([]byte(e.Token)), nil
	}
	byDefault := file == ""
	if byDefault {
		s, err := e.serverSettings()
		if err != nil {
			return secret.Bytes{}, err
		}
		file = filepath.Join(s.Data, adminToken)
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) && byDefault {
		return secret.Bytes{}, exit{Refused, errors.New(e.say("no_token"))}
	}
	if err != nil {
		return secret.Bytes{}, err
	}
	return secret.New(bytes.TrimSpace(text)), nil
}

// client is the Go package for bots, with the same server and token.
func (e *env) client() (*client.Client, error) { return e.clientFor(false) }

// clientFor is client; keepOld sends also what is older than the tenant keeps.
func (e *env) clientFor(keepOld bool) (*client.Client, error) {
	a, err := e.api()
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{Server: a.base, Token: a.token, KeepOld: keepOld})
}

// do sends one request; in is sent as JSON unless nil. The caller closes the body.
func (a *api) do(ctx context.Context, method, path string, query url.Values, accept string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("Authorization", "Bearer "+string(a.token.Reveal()))
	if a.tenant != "" {
		req.Header.Set(tenantHeader, a.tenant)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, unreachable{a.base, err}
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		return nil, client.ReadError(resp)
	}
	return resp, nil
}

// mostAnswer bounds an answer that is held in memory.
const mostAnswer = 256 << 20

// call sends one request and decodes its JSON answer into out.
func (a *api) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	resp, err := a.do(ctx, method, path, query, "application/json", in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, mostAnswer)).Decode(out); err != nil {
		return errors.New("the server's answer was cut off or is not Oubli's") // the cause could repeat a part of it
	}
	return nil
}

// lines sends a request and yields the lines of its NDJSON answer. An error inside the answer is its last line.
func (a *api) lines(ctx context.Context, path string, query url.Values) iter.Seq2[json.RawMessage, error] {
	return a.headedLines(ctx, path, query, func(http.Header) {})
}

// headedLines is lines for who needs the header of the answer: head is called with it before the first line.
func (a *api) headedLines(ctx context.Context, path string, query url.Values, head func(http.Header)) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		resp, err := a.do(ctx, http.MethodGet, path, query, "application/x-ndjson", nil)
		if err != nil {
			yield(nil, err)
			return
		}
		defer resp.Body.Close()
		head(resp.Header)
		sc := bufio.NewScanner(resp.Body)
		sc.Buffer(nil, 4*eventstore.MaxEvent)
		for sc.Scan() {
			var l struct {
				Error json.RawMessage `json:"error"`
			}
			err := json.Unmarshal(sc.Bytes(), &l)
			if err == nil && l.Error != nil {
				err = client.ReadError(&http.Response{
					StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(l.Error)),
				})
			}
			if !yield(bytes.Clone(sc.Bytes()), err) || err != nil {
				return
			}
		}
		if err := sc.Err(); err != nil {
			yield(nil, unreachable{a.base, err})
		}
	}
}

// unreachable is a server that did not answer.
type unreachable struct {
	server string
	cause  error
}

// Error leaves out the path that net/http repeats.
func (u unreachable) Error() string {
	cause := u.cause
	if ue, ok := errors.AsType[*url.Error](cause); ok {
		cause = ue.Err
	}
	return fmt.Sprintf("no answer from %s: %v", u.server, cause)
}

func (u unreachable) Unwrap() error { return u.cause }
