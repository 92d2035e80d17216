// Package natscluster runs a cluster of NATS servers with JetStream on loopback, for tests: each server is a process of its own, made of the program of the
// test itself, so that it can be killed. A test that uses it must call [Main] at the beginning of TestMain.
//
// A server ends with the process that started it: it reads its standard input, and goes when that is closed.
package natscluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const nodeEnv = "OUBLI_NATSCLUSTER_NODE"

// token is what clients present.
const token = "sesame"

// node is what the process of one server must know.
type node struct {
	Name, Dir  string
	Port, Link int
	Links      []int
}

// Main runs one server if this process was started as one, and says so: the caller then returns.
func Main() bool {
	text := os.Getenv(nodeEnv)
	if text == "" {
		return false
	}
	if err := serve(text); err != nil {
		fmt.Fprintln(os.Stderr, "a NATS server of the test's cluster:", err)
		os.Exit(1)
	}
	return true
}

func serve(text string) error {
	var n node
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		return err
	}
	o := &server.Options{
		ServerName: n.Name, Host: "127.0.0.1", Port: n.Port, Authorization: token, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: n.Dir, SyncInterval: 2 * time.Second, JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 8 << 30,
		MaxPayload: 4 << 20,
		Cluster:    server.ClusterOpts{Name: "oubli-test", Host: "127.0.0.1", Port: n.Link},
	}
	for _, at := range n.Links {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", at)})
	}
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	s.Start()
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}

// Cluster is a running cluster of servers, numbered from 0.
type Cluster struct {
	t     testing.TB
	nodes []node
	runs  []*run
}

type run struct {
	cmd  *exec.Cmd
	stop io.Closer
}

// Start starts so many servers and returns once they are a cluster that takes streams. They are ended with the test.
func Start(t testing.TB, servers int) *Cluster {
	t.Helper()
	c := &Cluster{t: t, runs: make([]*run, servers)}
	ports := freePorts(t, 2*servers)
	dir := t.TempDir()
	for i := range servers {
		name := fmt.Sprintf("n%d", i)
		c.nodes = append(c.nodes, node{Name: name, Dir: filepath.Join(dir, name), Port: ports[i], Link: ports[servers+i], Links: ports[servers:]})
	}
	t.Cleanup(func() {
		for i := range c.runs {
			c.Kill(i)
		}
	})
	for i := range c.nodes {
		c.Run(i)
	}
	c.await()
	return c
}

// freePorts finds ports that are free now.
func freePorts(t testing.TB, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// Run starts a server that does not run.
func (c *Cluster) Run(i int) {
	c.t.Helper()
	if c.runs[i] != nil {
		return
	}
	text, err := json.Marshal(c.nodes[i])
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), nodeEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.runs[i] = &run{cmd, in}
}

// Kill ends a server at once, as a crash does.
func (c *Cluster) Kill(i int) {
	if r := c.runs[i]; r != nil {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
		c.runs[i] = nil
	}
}

// Stop ends a server in good order.
func (c *Cluster) Stop(i int) {
	if r := c.runs[i]; r != nil {
		_ = r.stop.Close()
		_ = r.cmd.Wait()
		c.runs[i] = nil
	}
}

// URL lists the servers, as streams.Dial and --nats take them.
func (c *Cluster) URL() string {
	var urls []string
	for i := range c.nodes {
		urls = append(urls, c.Server(i))
	}
	return strings.Join(urls, ",")
}

// Server is the URL of one server.
func (c *Cluster) Server(i int) string {
	return fmt.Sprintf("nats://%s@127.0.0.1:%d", token, c.nodes[i].Port)
}

// Dir is where a server keeps its files.
func (c *Cluster) Dir(i int) string { return c.nodes[i].Dir }

// Port is the port of a server on loopback.
func (c *Cluster) Port(i int) int { return c.nodes[i].Port }

// Leader is the number of the server that leads a stream, once there is one.
func (c *Cluster) Leader(stream string) int {
	c.t.Helper()
	leader := -1
	c.ask("the leader of a stream", func(ctx context.Context, js jetstream.JetStream) error {
		s, err := js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		for i, n := range c.nodes {
			if cluster := s.CachedInfo().Cluster; cluster != nil && cluster.Leader == n.Name {
				leader = i
				return nil
			}
		}
		return errors.New("there is no leader")
	})
	return leader
}

// Current waits until every server that runs has all of a stream.
func (c *Cluster) Current(stream string) {
	c.t.Helper()
	c.ask("servers that have all of a stream", func(ctx context.Context, js jetstream.JetStream) error {
		s, err := js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		info := s.CachedInfo()
		if len(info.Cluster.Replicas) != info.Config.Replicas-1 {
			return errors.New("the stream does not have all of its replicas yet")
		}
		for _, p := range info.Cluster.Replicas {
			if !p.Current || p.Offline {
				return errors.New("a server is not up to date")
			}
		}
		return nil
	})
}

// await waits until the cluster makes a stream on all of its servers.
func (c *Cluster) await() {
	c.t.Helper()
	c.ask("a cluster", func(ctx context.Context, js jetstream.JetStream) error {
		_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "probe", Replicas: len(c.nodes)})
		return err
	})
	c.ask("a cluster", func(ctx context.Context, js jetstream.JetStream) error { return js.DeleteStream(ctx, "probe") })
}

// ask repeats a question until it is answered.
func (c *Cluster) ask(what string, question func(context.Context, jetstream.JetStream) error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		err := c.once(ctx, question)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			c.t.Fatalf("waiting for %s: %v", what, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (c *Cluster) once(ctx context.Context, question func(context.Context, jetstream.JetStream) error) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	nc, err := nats.Connect(c.URL())
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	return question(ctx, js)
}
