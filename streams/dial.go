package streams

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// Dial connects to an external NATS server or cluster; url may list several, separated by commas. The options are added to those that the log
// relies on: it reconnects for ever and buffers nothing meanwhile.
func Dial(url string, options ...nats.Option) (*nats.Conn, error) {
	o := append([]nats.Option{nats.Name("oubli"), nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond)}, options...)
	nc, err := nats.Connect(url, append(o, nats.ReconnectBufSize(-1))...)
	if err != nil {
		return nil, fmt.Errorf("connecting to the NATS server: %w", err)
	}
	return nc, nil
}
