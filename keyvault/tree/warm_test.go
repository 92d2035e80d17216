package tree

import (
	"strings"
	"testing"
)

// TestWarm: a tree that was warmed reads no node to find what is there, keeps no more nodes than it may, and finds the same.
func TestWarm(t *testing.T) {
	m := memory{}
	tr, ids := grown(t, m, 2000)
	shape, err := tr.Shape()
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range []int{1, 20, 2 * shape.Nodes} {
		read := &nodeReads{memory: m}
		c := config(m)
		c.Store, c.Nodes = read, room
		again, err := Open(c, key(1))
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Warm(); err != nil {
			t.Fatal(err)
		}
		if read.n > 0 || len(again.nodes) > room {
			t.Errorf("room for %d: %d nodes read one by one, %d kept", room, read.n, len(again.nodes))
		}
		holds(t, again, ids, nil)
		if all := room > shape.Nodes; all && (read.n > 0 || len(again.nodes) != shape.Nodes) {
			t.Errorf("%d nodes read after %d of %d were kept", read.n, len(again.nodes), shape.Nodes)
		}
	}
	for row := range m {
		if strings.HasPrefix(row, "tenantN") {
			m[row] = m[row][:len(m[row])-1]
			break
		}
	}
	c := config(m)
	c.Nodes = 2 * shape.Nodes
	damaged, err := Open(c, key(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := damaged.Warm(); err == nil {
		t.Error("a node that is cut is warmed")
	}
}

type nodeReads struct {
	memory
	n int
}

func (r *nodeReads) Get(key []byte) ([]byte, error) {
	if strings.HasPrefix(string(key), "tenantN") {
		r.n++
	}
	return r.memory.Get(key)
}
