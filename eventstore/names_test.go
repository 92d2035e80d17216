package eventstore

import (
	"reflect"
	"strings"
	"testing"
)

// TestNamesAreKnown: every name of the format is read without an allocation.
func TestNamesAreKnown(t *testing.T) {
	found := map[string]bool{}
	var walk func(reflect.Type)
	walk = func(of reflect.Type) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || of.PkgPath() != reflect.TypeFor[Event]().PkgPath() {
			return
		}
		for i := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			if name == "" || name == "-" || of.Field(i).Type == reflect.TypeFor[*File]() { // nobody can send a file in an event
				continue
			}
			found[name] = true
			walk(of.Field(i).Type)
		}
	}
	walk(reflect.TypeFor[Event]())
	for name := range found {
		raw := []byte(`"` + name + `"`)
		if got, err := nameOf(raw); got != name || err != nil {
			t.Errorf("%s is read as %q, %v", name, got, err)
		}
		if n := testing.AllocsPerRun(10, func() { _, _ = nameOf(raw) }); n != 0 {
			t.Errorf("%s is not among the known names: %v allocations", name, n)
		}
	}
	if len(found) != len(names) {
		t.Errorf("the format has %d names, %d are known", len(found), len(names))
	}
}
