// Package journal keeps what one writer acknowledged, in synced append-only segment files, until another store is known to have it on disk.
//
// A journal is a directory of segments. A segment is a sequence of records in the record format of pebble/v2/record (32 KiB blocks of
// checksummed chunks), so a torn end is recognised. A segment is never appended to after it was closed, by a crash or otherwise, and is
// unlinked whole once it is trimmed.
//
// # Files
//
// Segment n is the file %016x.journal of its number in hexadecimal; numbers grow. The first record of a segment is its header. A segment
// that has no whole header was never used.
//
// # Records, version 1
//
// Integers are big endian, uvarint is that of encoding/binary.
//
//	offset  size  field
//	0       1     version, 1
//	1       1     kind
//
//	kind 1, header: what the journal belongs to
//	2       8     first: the sequence of the first entry that may follow
//	10      8     creation time of the stream, nanoseconds since 1970
//	18      16    vault id
//	34      1     length of the name
//	35      …     name, tenant/stream
//
//	kind 2, group: entries that were synced together
//	2       8     first: the sequence of the first entry; the others follow without gaps
//	10      …     uvarint count of entries, then each entry:
//	        1     flags: 1 a person stands, 2 a row stands
//	        16    person id, if flagged
//	        24    idempotency row, if flagged
//	        …     uvarint length, data
//
//	kind 3, removal: written before the entries are destroyed in the stream
//	2       8     anchor: a sequence that stays, or 0
//	10      16    event id of the anchor
//	26      8     total: how many entries were given up so far, these included
//	34      8     floor: every entry up to here was given up, or 0
//	42      …     uvarint count of sequences, then each as uvarint difference to the one before (the first to 0), ascending
//	        …     uvarint count of prefixes, then 8 bytes each: idempotency rows under them go
//
// # What always holds
//
//   - Entries have the sequences first, first+1, … without gaps over all segments.
//   - The first of a segment's header supersedes: entries at or above it in earlier segments are void. They were written, or partly
//     written, and never acknowledged.
//   - So a torn end is allowed in every segment, and loses nothing: whatever was acknowledged behind it would leave a gap, and a gap is
//     [ErrDamaged].
//   - After an error of a write or a sync the segment is not written again: [Journal.Roll] starts another one.
//
// # Not promised
//
// The journal does not know which entries were acknowledged at its very end: a bit flipped in the last record looks like a torn end. Its
// owner compares the end with a watermark of its own and with the stream.
package journal
