package keyvault

import (
	"encoding/binary"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/secret"
)

// mark is a PRF of the parts.
func mark(own secret.Bytes, label eventstore.MarkLabel, parts ...[]byte) (m eventstore.Mark) {
	in := make([]byte, 0, 128)
	in = append(append(in, label...), 0)
	for _, p := range parts {
		in = binary.BigEndian.AppendUint64(in, uint64(len(p)))
		in = append(in, p...)
	}
	h := newPRF(own, "oubli/mark/1")
	h.Write(in)
	copy(m[:], h.Sum(in[:0]))
	return m
}

func periodMark(set secret.Bytes, p eventstore.Period) (m eventstore.Mark) {
	h := newPRF(set, "oubli/period/1")
	h.Write(binary.BigEndian.AppendUint32([]byte{byte(p.Kind)}, uint32(p.First)))
	copy(m[:], h.Sum(nil))
	return m
}
