package record

import (
	"io"
	"iter"
)

// Reader is the part of a format that maps documents: one for each input.
type Reader interface {
	// Document maps one document, which is valid JSON until the call returns, and reports whether to go on.
	Document(raw []byte, at Position) bool
	// End is called when the input ends well.
	End()
}

// Documents makes a sequence of what a format's reader makes of r's documents. The reader hands its items to the sink.
func Documents(r io.Reader, o Options, counts *Counts, reader func(*Sink) Reader) iter.Seq2[Item, error] {
	if counts == nil {
		counts = new(Counts)
	}
	return func(yield func(Item, error) bool) {
		sink := NewSink(o, counts, yield)
		to, in := reader(sink), Split(r)
		for {
			raw, at, err := in.Next()
			if err == io.EOF {
				to.End()
				return
			}
			counts.Documents = max(counts.Documents, at.Document)
			if err != nil {
				if !sink.Problem(err, at) || in.Ended() {
					return
				}
				continue
			}
			if !to.Document(raw, at) {
				return
			}
		}
	}
}
