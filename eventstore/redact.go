package eventstore

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Format implements [fmt.Formatter]: an event never prints.
func (Event) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// LogValue implements [slog.LogValuer].
func (Event) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format implements [fmt.Formatter]: a handle never prints.
func (Identity) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// LogValue implements [slog.LogValuer].
func (Identity) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format implements [fmt.Formatter]: an external id never prints.
func (ConversationID) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// LogValue implements [slog.LogValuer].
func (ConversationID) LogValue() slog.Value { return slog.StringValue(redacted) }
