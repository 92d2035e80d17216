package readmodel_test

import (
	"strings"
	"testing"

	"github.com/oubli-store/oubli/projections/readmodel"
)

func TestValue(t *testing.T) {
	for in, want := range map[string]string{
		"": readmodel.None, "order_status": "order_status", "commande passée": "commande passée",
		"(other)": readmodel.Other, "(none)": readmodel.Other, "a\x00b": readmodel.Other, "a\nb": readmodel.Other, "\xff": readmodel.Other,
		strings.Repeat("a", readmodel.MaxValue): strings.Repeat("a", readmodel.MaxValue), strings.Repeat("a", readmodel.MaxValue+1): readmodel.Other,
	} {
		if got := readmodel.Value(in); got != want {
			t.Errorf("%q is called %q, want %q", in, got, want)
		}
	}
}
