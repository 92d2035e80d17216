package openai

import (
	"testing"

	"github.com/oubli-store/oubli/eventstore/importer/importertest"
)

func TestGolden(t *testing.T) { importertest.Golden(t, Read) }
func TestRobust(t *testing.T) { importertest.Robust(t, Read) }
func FuzzRead(f *testing.F)   { importertest.Fuzz(f, Read) }
