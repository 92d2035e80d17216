// Package client is how a bot written in Go stores what was said: [Client.Append] for one event, [Client.AppendMany] for many.
//
// # Guaranteed
//
//   - A nil error means that the server has the event on disk.
//   - A call is tried again, with growing and jittered pauses, for as long as [Config.Patience] allows. That stores nothing twice: an event
//     without an idempotency key is given one from crypto/rand, once, before the first try.
//   - A pause that the server asks for (Retry-After) is kept.
//   - Every call ends: a try within [Config.TryTimeout], the tries together within [Config.Patience] counted from the last answer.
//   - Memory is bounded by one batch ([Config.BatchEvents], [Config.BatchBytes]), however many events there are.
//   - Nothing is logged, and no error repeats a value that was sent.
//
// # Not guaranteed
//
//   - An error that is [eventstore.ErrUncertain] says that the event may be stored. Send the very same event again to settle it; that needs an
//     idempotency key of the caller's own, so set [eventstore.Event.Key] if a process may end before the answer comes.
//   - The client draws the time only together with the key. Whoever sets the key should set [eventstore.Event.Time] too: an event that is
//     sent again after its person was erased is turned away by its time.
//   - If the server turns away one line of a batch for the moment and takes the following ones, the line is sent again after them.
//
// # Errors
//
// What the server refused is a [*Error]. It matches the sentinel of its kind: errors.Is(err, eventstore.ErrConsent) for the type
// urn:oubli:consent.
package client
