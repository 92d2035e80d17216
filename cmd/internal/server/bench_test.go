package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/oubli-store/oubli/cmd/internal/access"
	"github.com/oubli-store/oubli/eventstore"
)

func benchServer(b *testing.B) (url, token string) {
	b.Helper()
	s, err := Start(b.Context(), config(b.TempDir()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Stop(context.WithoutCancel(b.Context())) })
	_, text, err := s.tokens.Create(b.Context(), eventstore.DefaultTenant, access.Token{Roles: []eventstore.Role{eventstore.RoleBot}, Bot: "shop"})
	if err != nil {
		b.Fatal(err)
	}
	return s.URL(), string(text.Reveal())
}

func post(b *testing.B, url, token, kind, body string) {
	r, err := http.NewRequest("POST", url+"/v1/events", strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	var rest strings.Builder
	if err := resp.Write(&rest); err != nil || resp.StatusCode >= 300 || strings.Contains(rest.String(), `"error"`) {
		b.Fatalf("%d %v %s", resp.StatusCode, err, rest.String())
	}
}

// message is one of 1,000 persons'.
func message(n int64) string {
	return fmt.Sprintf(`{"id":"k%d","identity":{"namespace":"email","id":"p%d@example.com"},"conversation":"c%d","type":"message","author":"user","channel":"web","language":"fr","text":"Bonjour, où est ma commande A%d ?"}`,
		n, n%1000, n%1000, n)
}

// BenchmarkSingle appends one event a request, over 64 connections.
func BenchmarkSingle(b *testing.B) {
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 64
	url, token := benchServer(b)
	var n atomic.Int64
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			post(b, url, token, "application/json", message(n.Add(1)))
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkBatch appends batches of 10,000 events, one after another.
func BenchmarkBatch(b *testing.B) {
	const size = 10_000
	url, token := benchServer(b)
	var n int64
	for b.Loop() {
		var body strings.Builder
		for range size {
			n++
			body.WriteString(message(n) + "\n")
		}
		post(b, url, token, "application/x-ndjson", body.String())
	}
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
}
