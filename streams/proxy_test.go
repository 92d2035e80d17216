package streams

import (
	"bufio"
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// proxy stands between a client and a NATS server on loopback, and does harm.
type proxy struct {
	t        *testing.T
	listener net.Listener
	to       string
	delay    atomic.Int64 // of what the server says, in nanoseconds
	shuffle  atomic.Bool  // what the server says at once comes in another order
	silent   atomic.Bool  // what the server says is lost
	mu       sync.Mutex
	conns    map[net.Conn]bool
	all      sync.WaitGroup
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, listener: l, to: to, conns: map[net.Conn]bool{}}
	p.all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			p.keep(client, server)
			p.all.Go(func() { defer p.drop(client, server); _, _ = io.Copy(server, client) })
			p.all.Go(func() { defer p.drop(client, server); p.answers(client, server) })
		}
	})
	return p
}

func (p *proxy) keep(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.conns[c] = true
	}
}

func (p *proxy) drop(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(p.conns, c)
	}
}

// cut ends every connection, in the middle of whatever it carries.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

func (p *proxy) stop() {
	p.listener.Close()
	p.cut()
	p.all.Wait()
}

// frame reads one operation of the protocol with its payload; message says that it delivers one.
func frame(r *bufio.Reader) (b []byte, message bool, err error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return nil, false, err
	}
	fields := bytes.Fields(line)
	if len(fields) == 0 || string(fields[0]) != "MSG" && string(fields[0]) != "HMSG" {
		return line, false, nil
	}
	size, err := strconv.Atoi(string(fields[len(fields)-1]))
	if err != nil {
		return nil, false, err
	}
	b = append(line, make([]byte, size+2)...)
	_, err = io.ReadFull(r, b[len(line):])
	return b, true, err
}

// answers hands on what the server says.
func (p *proxy) answers(client, server net.Conn) {
	rng := rand.New(rand.NewPCG(1, 2))
	r := bufio.NewReaderSize(server, 64<<10)
	for {
		var out [][]byte
		for first := true; first || r.Buffered() > 0 && len(out) < 64; first = false {
			b, message, err := frame(r)
			if err != nil {
				return
			}
			if message && p.silent.Load() {
				continue
			}
			out = append(out, b)
			if !message {
				break // nothing goes past what is not a message
			}
		}
		time.Sleep(time.Duration(p.delay.Load()))
		if n := len(out); p.shuffle.Load() && n > 1 {
			rng.Shuffle(n-1, func(i, j int) { out[i], out[j] = out[j], out[i] })
		}
		for _, b := range out {
			if _, err := client.Write(b); err != nil {
				return
			}
		}
	}
}

// TestBadConnection: under load the connection to the server is cut in the middle of groups, slow, silent, and brings acknowledgements in another order. Every append is settled by
// being sent again, nothing acknowledged is lost or stored twice, and all goes on without a restart.
func TestBadConnection(t *testing.T) {
	rounds := 4
	if os.Getenv("OUBLI_SOAK") != "" {
		rounds = 100
	}
	e := &external{t: t, dir: filepath.Join(t.TempDir(), "nats")}
	e.start()
	defer e.stop()
	p := newProxy(t, e.at)
	defer p.stop()
	r := &room{t: t, dir: t.TempDir()}
	r.dial = func() (*nats.Conn, error) { return Dial("nats://"+p.listener.Addr().String(), tokenOption) }
	direct, err := Dial(e.srv.URL(), tokenOption)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	r.tune = func(c *Config) { c.Reads, c.Files, c.AnswerWithin = direct, "", 600*time.Millisecond }
	r.startServer()
	r.openLog()
	defer r.stop()
	r.openTenant()
	l := r.load(16)
	l.reach(100)
	harm := []struct {
		name       string
		begin, end func()
	}{
		{"cut", p.cut, func() {}},
		{"slow", func() { p.delay.Store(int64(30 * time.Millisecond)) }, func() { p.delay.Store(0) }},
		{"in another order", func() { p.shuffle.Store(true) }, func() { p.shuffle.Store(false) }},
		{"silent", func() { p.silent.Store(true) }, func() { p.silent.Store(false) }},
		{"cut again", p.cut, func() {}},
	}
	for range rounds {
		for _, h := range harm {
			h.begin()
			if h.name == "silent" {
				time.Sleep(400 * time.Millisecond) // longer than a group is waited for
				h.end()
			}
			l.reach(l.count() + 40)
			h.end()
		}
		r.holdsWithin(l.snapshot())
	}
	acked := l.stop()
	r.holds(acked)
	t.Logf("%d events, %d reconnections", len(acked), r.conn.Stats().Reconnects)
}
