package server

import (
	"os"
	"testing"

	"github.com/oubli-store/oubli/streams/natsembed/natscluster"
)

func TestMain(m *testing.M) {
	if natscluster.Main() {
		return
	}
	os.Exit(m.Run())
}
