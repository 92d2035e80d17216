// Package ledger keeps the tenant's append-only, tamper-evident record of privileged acts.
//
// # Format
//
// An entry is one record of the stream [eventstore.RecordsLedger], and its number is the record's number, from 1. The record is a CBOR
// map in core deterministic encoding (RFC 8949, section 4.2.1), so that one entry has exactly one encoding:
//
//	0  schema version, 1
//	1  time, in milliseconds since 1970 (UTC)
//	2  act
//	3  token id
//	4  role          (left out if empty, as are all that follow)
//	5  references    array of 16-byte strings
//	6  reason
//	7  basis
//	8  scope
//	9  subject       byte string, a salted hash
//	10 count
//	11 before        months since January 1970
//	12 purpose       a code of its own: [a-z][a-z0-9_-]{0,31}
//	13 tenant
//	14 until         milliseconds since 1970 (UTC)
//
// The other texts are codes too: lower-case letters, digits and hyphens, at most 64. A name, an address, a sentence or a person id cannot be
// written, and is refused with [eventstore.ErrInvalid].
//
// The records are the leaves of a Merkle tree (RFC 6962 through golang.org/x/mod/sumdb/tlog): a leaf's hash is SHA-256(0x00 ‖
// record), a node's SHA-256(0x01 ‖ left ‖ right), the empty tree's that of nothing. A [Head] is the tree's size and its root hash.
//
// # Certificates
//
// A certificate is a JSON file of one erasure ([CertificateFormat]): its issues, each a signed statement about the stages that were behind, with the ledger
// entries that it rests on, their proofs, a checkpoint, and from the second on the hash of the statement before and the proof that the ledger only grew
// since. [VerifyCertificate] needs the file and the public key. Without this program: the statement as compact JSON (jq -c .issues[0].statement) has the SHA-256
// that stands in the signed note.
//
// # Guaranteed
//
//   - An entry is durable when [Ledger.Record] returns its number.
//   - Whoever holds a head can tell whether an entry is in the tree ([CheckInclusion]), whether a later tree only added to it
//     ([CheckConsistency]), and whether stored records still are what they were ([Verify]). These three are pure.
//   - A signed [Checkpoint] opens under its ledger's public key only as it was signed ([OpenCheckpoint]): golang.org/x/mod/sumdb/note, Ed25519.
//   - A record that was changed in any byte is refused, or changes the root.
//   - A certificate that [VerifyCertificate] accepts was made by whoever holds the ledger's key, no issue takes back what an earlier one says, and its
//     ledger entries were made before the keys were destroyed. Nothing is signed that would not pass.
//
// # Not guaranteed
//
//   - An entry says that something was about to be done, not that it was: after a crash in between the same act has a second entry.
//   - Without a [Checkpoint] that was kept elsewhere, a whole ledger that was rewritten cannot be told from the right one: whoever has the vault
//     can sign another.
//   - Whether there is a newer issue than the last in a file, or whether what is signed is true, no check can tell.
//   - An entry whose Record ended in [eventstore.ErrUncertain] may be there.
//
// The tree's hashes are held in memory: 64 bytes an entry.
package ledger
