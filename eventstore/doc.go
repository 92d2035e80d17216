// Package eventstore is the middle of Oubli: the words that every room shares, the contracts through which
// the rooms meet, and [Store], the one way for an event to go in and to come out.
//
// # The way in
//
// [Store.Append] takes an [Event] from a [Caller], and
//
//  1. has the [Door] make its identities canonical and keep only what may be kept;
//  2. enters the vault ([Keys.Enter]): the identity is resolved without minting, the tenant's and the person's
//     rules are asked, and only an accepted event mints a person, durably, before anything else is written;
//  3. seals the event's body under the person's data key of the [KeyMonth];
//  4. gives the sealed envelope to the [Log], and answers when it is on disk.
//
// # The way out
//
// [Store.Read] yields one person's events in order, those of a whole linked set merged by sequence.
// Every read answers exactly one of: the event; [ErrErased]; [ErrWithheld]; [ErrKeyLost]; another error for an
// outage or damage. An outage or a failed decryption is never reported as an erasure, nor an erasure as an outage.
//
// # Guaranteed
//
//   - A nil error from Append means that the event is on disk and opens until its person is erased.
//   - A person's events are read in the order in which they were accepted.
//   - The same idempotency key with the same body is stored once.
//   - No identifier but tenant, person and event id leaves this package in clear.
//
// # Not guaranteed
//
//   - Receive times do not order a person's events where clocks or concurrent callers disagree; sequences do.
//   - While a message exists its skeleton is visible on disk: person id, event id, key month, the padded size,
//     and JetStream's own timestamp.
package eventstore
