// Package streams keeps a tenant's sealed events and records on NATS JetStream, such that what was acknowledged survives power loss although
// JetStream syncs its files only every few seconds. It implements [eventstore.Log] and [eventstore.Records].
//
// # Streams
//
//	CONV_<tenant>    conv.<tenant>.<person>  a person's events
//	                 ctl.<tenant>            what happened to persons
//	                 conv.<tenant>.-         empty messages, deleted at once, where an erased one was
//	BLOB_<tenant>    blob.<tenant>.<person>.<id>  the chunks of one attachment ([Streams.Chunks])
//	LEDGER_<tenant>  ledger.<tenant>         records; JetStream is told to deny deleting and purging
//	STATS_<tenant>   stats.<tenant>          the same
//
// An empty message blob.<tenant>.- fills a place of BLOB_<tenant> in the same way. It has a journal like the others: a chunk is written twice, and is as safe as
// an event once it is acknowledged.
//
// One message is one envelope (package envelope), or one record as it was given. Its sequence is JetStream's. The stream's metadata names the
// vault (oubli.vault) and the format (oubli.format, 1). Neither Nats-Msg-Id nor any other header is stored but the expected last
// sequence. There is one replica unless configured, files, no compression. A server from 2.14 on is told to take fast batches and, with one replica, to
// write to its files within milliseconds of an acknowledgement instead of before it (persist_mode async): the journal has what a killed server had not
// written, and is not trimmed before the server was asked again whether it still has what it acknowledged. A stream that was made without these keeps its
// persist mode, and is given fast batches when it is opened.
//
// # log/
//
//	LOCK                  locked while a process has log/ open
//	index.db/             Pebble: idempotency rows and watermarks; no person id stands in it
//	<tenant>/<kind>/      the journal of one stream (package journal)
//
// The index has no write-ahead log: after a crash it stands as at its last flush and is brought up to date from the journals, which are trimmed
// behind a flush only. (index.db and not index, which can be a tenant's name.)
//
// # Reading
//
// Reads are batched direct gets, one batch ahead. A long replay on a single server goes through an ephemeral consumer, which is cheaper; direct gets finish what it leaves.
//
// # Guaranteed
//
//   - A nil error of Wait or AppendRecord: the message is synced in the journal, and stands in the stream (Journalled messages and records: it
//     will). Its sequence is final.
//   - ErrConflict and ErrUnavailable: it is not stored and will not be. ErrUncertain: it may be; the same row settles it.
//   - Messages of one caller, and of one person in the order of Submit, have ascending sequences. The same row is stored once, as long as the
//     message is.
//   - Readers never see what is not journalled and published.
//   - What Remove and Expire destroyed has left the server's block files when they return, and the journal when it is trimmed ([Streams.AwaitTrim]).
//     Readers see nothing below the floor from the moment it is raised. What is missing is held against what was removed, behind the floor
//     exactly: a purged head makes up for no loss behind it.
//   - A tenant whose stream, journal and watermark do not fit is not opened: ErrDamaged names what is missing or foreign. Nothing was
//     published before that. A stream that the server does not know while log/ does is never created anew.
//
// # How a start compares
//
//	watermark   vault, creation time, last sequence, newest event that stays, number of removed messages, and the floor: everything up to
//	            there was removed
//	1. vault and creation time of the stream are those of the watermark
//	2. the journal reaches up to the watermark's last sequence; its tail brings watermark and rows up to date
//	3. the watermark's event stands where it was; the stream holds as many messages as it must
//	4. the stream's last message is the one that the journal has there
//	5. stream shorter than the journal: the rest is published again under the same sequences, if the journal has all of it
//	6. stream longer, by at most one group (or, where answers rested on the cluster, by whatever the journal had not synced): each message
//	   must open under the vault; it is taken into the journal, under the row that its caller sent, so that a retry settles what was uncertain
//	7. messages that were to be removed and are there again are removed again; what is still there below the floor is purged in the background
//
// # A lost log/
//
// [Rebuild] makes log/ anew from the stored streams, [Import] makes a stream from a backup under the same sequences. What they cannot know (what was
// acknowledged and is not stored) is said there.
//
// # On a cluster
//
// The same code works over streams with several replicas ([Config.Replicas]). Every replica answers direct gets, also one that lags behind; so where a read
// ends, the stream's leader is asked whether there is more, and before it starts the leader must have what is committed. The last sequence of a
// person (for an expected sequence) is asked of the leader alone. While a leader is chosen, reads and appends wait for it a few seconds, then they are unavailable or
// uncertain.
//
// With [Config.Loose] an answer does not wait for the journal's sync: a nil error of Wait then means that a majority of the servers has the message, synced
// or not, as they are set up. The journal is written all the same and synced every second, so that a killed process loses nothing, and what a power failure
// takes of it is taken in again from the stream (6). The watermark says that it was so.
//
// Removing on a cluster: every server overwrites the message in its block files. Its raft log keeps a copy until it is compacted, some minutes
// later, and the file system may keep the blocks of an unlinked raft log; [Streams.Traces] does not see the files of other machines.
//
// # Not guaranteed
//
//   - A bit that flips in the server's files while it is stopped in good order is not noticed at the start: the server trusts its summary and passes
//     over the message. [Streams.Replay] from the beginning then ends with ErrDamaged, and so does [Streams.Read] of the whole person concerned. A Read that begins
//     later, Get, and any read on a cluster do not know that there was a message. (A whole server notices at its start, up to 4 GiB of files.)
//   - A log/ and a stream that were rolled back together are not noticed here.
//   - With an external server a message counts as safe after [Config.Settle]; the server's sync interval is not checked.
package streams
