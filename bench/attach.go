package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// benchAttach stores and reads one file of a mebibyte for each 100 events (1 GiB is 102400 events), beside a plain file that is written and synced, and read. Its
// memory is the most that the process ever had in its place, so it is told of a run of this workload alone.
func benchAttach(ctx context.Context, o options, r *report) error {
	size := int64(min(max(1, o.events/100), eventstore.MaxAttachment>>20)) << 20
	s, err := openStack(ctx, o.dir)
	if err != nil {
		return err
	}
	defer s.Close()
	var stored eventstore.Recorded
	rate := func(work func(i int) error) (float64, error) {
		return median(o.rounds, func(i int) (float64, error) {
			start := time.Now()
			err := work(i)
			return float64(size>>20) / time.Since(start).Seconds(), err
		})
	}
	measured := map[string]float64{}
	for _, step := range []struct {
		name string
		work func(i int) error
	}{
		{"file/write-synced", func(i int) error { return writeSynced(filepath.Join(o.dir, "plain"), size) }},
		{"file/read", func(int) error { return readPlain(filepath.Join(o.dir, "plain")) }},
		{"attach/in", func(i int) (err error) { stored, err = s.attach(ctx, size); return err }},
		{"attach/out", func(int) error { return s.readBack(ctx, stored, size) }},
	} {
		if measured[step.name], err = rate(step.work); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	mib := func(name string) figure { return figure{Name: name, Value: measured[name], Unit: "MiB/s"} }
	r.compare(mib("attach/in"), mib("file/write-synced"))
	r.compare(mib("attach/out"), mib("file/read"))
	peak, err := peakMemory()
	if err != nil {
		return err
	}
	r.add(figure{Name: "attach/peak-memory", Value: peak, Unit: "MiB"})
	return nil
}

// noise is so many bytes that do not compress.
func noise(size int64) io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{1}), size) }

func writeSynced(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.CopyBuffer(struct{ io.Writer }{f}, noise(size), make([]byte, 1<<20)); err != nil {
		return err
	}
	return f.Sync()
}

func readPlain(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, make([]byte, 1<<20))
	return err
}

func (s *stack) attach(ctx context.Context, size int64) (eventstore.Recorded, error) {
	e := message(0, "")
	e.Type, e.Intent = eventstore.TypeAttachment, nil
	receipt, err := s.store.Attach(ctx, caller, e, eventstore.File{Name: "call.wav", ContentType: "audio/wav"}, noise(size), size)
	if err != nil {
		return eventstore.Recorded{}, err
	}
	return s.store.FindAttachment(ctx, tenant, eventstore.AttachmentRef{Person: receipt.Person, Event: receipt.ID, Sequence: receipt.Sequence})
}

func (s *stack) readBack(ctx context.Context, e eventstore.Recorded, size int64) error {
	in, err := s.store.ReadAttachment(ctx, tenant, e)
	if err != nil {
		return err
	}
	defer in.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, in, make([]byte, 1<<20))
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes came back of %d", n, size)
	}
	return err
}

// peakMemory is the most memory that the process had, in MiB.
func peakMemory() (float64, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	kib, _, _ := strings.Cut(strings.TrimSpace(after), " ")
	n, err := strconv.ParseFloat(kib, 64)
	return n / 1024, err
}
