package keyvault

import (
	"encoding/binary"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/secret"
)

// mark is a PRF of the parts.
func mark(own secret.Bytes, label eventstore.MarkLabel, parts ...[]byte) (m eventstore.Mark) {
	h := newPRF(own, "oubli/mark/1")
	h.Write([]byte(label))
	h.Write([]byte{0})
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write(p)
	}
	copy(m[:], h.Sum(nil))
	return m
}

func periodMark(set secret.Bytes, p eventstore.Period) (m eventstore.Mark) {
	h := newPRF(set, "oubli/period/1")
	h.Write(binary.BigEndian.AppendUint32([]byte{byte(p.Kind)}, uint32(p.First)))
	copy(m[:], h.Sum(nil))
	return m
}
