package tree

import "fmt"

// Surveyor is told of everything in a tree, damaged or not.
type Surveyor struct {
	// Record and Handle are told of each item that opens. Their error ends the survey.
	Record func(PersonID, []byte) error
	Handle func(string, PersonID) error
	// Damaged is told of what does not open.
	Damaged func(Damage)
}

// Damage is one row, or a bucket or node with everything below it, that does not open.
type Damage struct {
	// What is "node", "leaf", "page", "record" or "handle".
	What string
	Position
	// Person is whose record it is; set for a record only.
	Person PersonID
	Err    error
}

// Where names the position: trie, depth, and the bits of the hash above the depth.
func (p Position) Where() string { return fmt.Sprintf("%c%d/%016x", p.Trie, p.Depth, p.Prefix) }

// Survey opens every node, record and handle. It goes on after damage, and keeps one bucket in memory. The shape counts what is there, damaged items as
// well.
func (t *Tree) Survey(s Surveyor) (Shape, error) {
	var shape Shape
	for i, trie := range []Trie{Leaves, Pages} {
		if err := t.survey(&shape, Position{Trie: trie}, t.root.tries[i], s); err != nil {
			return shape, err
		}
	}
	return shape, nil
}

func (t *Tree) survey(shape *Shape, p Position, e entry, s Surveyor) error {
	shape.Depth = max(shape.Depth, int(p.Depth))
	if e.kind != kindNode {
		return t.surveyBucket(shape, place{Position: p, entry: e}, s)
	}
	shape.Nodes++
	n, err := t.readNode(p, e)
	if err != nil {
		s.Damaged(Damage{What: "node", Position: p, Err: err})
		return nil
	}
	for i, child := range n.children {
		if err := t.survey(shape, p.child(i), child, s); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tree) surveyBucket(shape *Shape, p place, s Surveyor) error {
	k := t.bucket(p)
	what, items := "leaf", &shape.Records
	if p.Trie == Pages {
		what, items = "page", &shape.Handles
		shape.Pages++
	} else {
		shape.Leaves++
	}
	var good []item
	err := k.scan(func(r row, sealed []byte) error {
		*items++
		it, err := k.open(r, sealed)
		if err == nil {
			err = k.misplaced(p, it)
		}
		if err != nil {
			d := Damage{What: k.what(), Position: p.Position, Err: err}
			if p.Trie == Leaves {
				d.Person = r[len(r)-nameSize:].person()
			}
			s.Damaged(d)
			return nil
		}
		good = append(good, it)
		return nil
	})
	if err != nil { // the rest of the bucket cannot be read
		s.Damaged(Damage{What: what, Position: p.Position, Err: err})
	}
	for _, it := range good {
		if p.Trie == Leaves {
			err = s.Record(PersonID([]byte(it.key)), it.value)
		} else {
			err = s.Handle(it.key, PersonID(it.value))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// misplaced says what is wrong with where an item stands.
func (k *bucket) misplaced(p place, it item) error {
	if k.trie == Pages && k.name(it.key) != it.name {
		return fmt.Errorf("a handle in the place of another: %w", ErrDamaged)
	}
	if k.t.hash(p.Trie, it.key)&mask(p.Depth) != p.Prefix {
		return fmt.Errorf("an item in the wrong bucket: %w", ErrDamaged)
	}
	return nil
}

func (r row) person() PersonID { return PersonID(r) }
