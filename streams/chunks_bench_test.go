package streams

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/envelope"
)

// BenchmarkChunks stores 128 MiB in chunks of a size and destroys them again, without a bound on the rate: what a larger chunk saves. Run it with -benchtime 1x.
func BenchmarkChunks(b *testing.B) {
	const total = 128 << 20
	for _, size := range []int{64 << 10, 256 << 10, eventstore.MaxChunk} {
		b.Run(fmt.Sprint(size>>10, "KiB"), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				r := newRoom(b, func(c *Config) { c.RemoveRate = 1_000_000 })
				if err := r.s.Chunks().Open(context.Background(), tenant, vault, true, nil); err != nil {
					b.Fatal(err)
				}
				a := eventstore.Attachment{Person: newPerson(b), ID: eventstore.AttachmentID{6: 1}}
				data := make([]byte, size-envelope.HeaderSize)
				_, _ = rand.Read(data)
				for range total / size {
					ticket, err := r.s.Chunks().Submit(context.Background(), tenant, eventstore.Message{Person: a.Person, Envelope: envelope.Envelope{Event: a.ID, Ciphertext: data}})
					if err == nil {
						_, err = ticket.Wait(context.Background())
					}
					if err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				if err := r.s.Chunks().Remove(context.Background(), tenant, eventstore.Removal{Attachments: []eventstore.Attachment{a}}, nil); err != nil {
					b.Fatal(err)
				}
			}
			n := float64(b.Elapsed().Milliseconds()) / float64(b.N)
			b.ReportMetric(n/float64(total/size), "ms/chunk")
			b.ReportMetric(n*8/1000, "s/GiB")
		})
	}
}
