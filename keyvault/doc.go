// Package keyvault is the key vault: it resolves, mints and links persons, opens their keys through gates, seals and marks, fences and
// shreds. It implements [eventstore.Keys] and [eventstore.Meta].
//
// # What is where
//
// The vault directory is a Pebble database; everything in it that matters is sealed in the key tree of its tenant (package tree), whose
// root key stands in the root register only (package register). So what Pebble keeps of deleted rows is useless once the root key above
// it is effaced.
//
// # Rows, version 1
//
// Integers are big endian; T is the tenant's number (4 bytes).
//
//	0x01                     version(1) ‖ vault id(16)
//	0x02 ‖ tenant name       version(1) ‖ state(1: 1 creating, 2 live, 3 erasing, 4 erased) ‖ T
//	0x03                     a restore into this database is not finished. Empty
//	0x10 ‖ T ‖ 'R' 'N' 'B'   the key tree
//	0x10 ‖ T ‖ 'X' ‖ person  tombstone: the person was erased. Empty
//	0x10 ‖ T ‖ 'F' ‖ person  fence: an erasure of the person is under way. Empty
//	0x10 ‖ T ‖ 'U' ‖ term(8) ‖ mark(16)  refusal: time of the erasure, of a longer refusal its end, unix milliseconds (8), and the ledger
//	                         reference (16) of the lowest person of the linked set, by which all handles of an erasure are found when one of them is admitted (rows of before have no reference)
//	0x10 ‖ T ‖ 'O' ‖ event id(16)        person event owed to the stream, CBOR, sealed under the outbox key
//	0x10 ‖ T ‖ 'S' ‖ person  successor: a record without handles, state and linked persons, sealed under the outbox key
//	0x10 ‖ T ‖ 'M' ‖ table(8) ‖ key(16)  meta row: length(varint) ‖ key ‖ value, sealed under the meta key; table and key are keyed hashes
//	0x10 ‖ T ‖ 'C'           number of persons, a Pebble merge of signed varints
//	0x10 ‖ T ‖ 'L'           restored: when the backup was made, unix milliseconds (8)
//	0x10 ‖ T ‖ 'E'           a run of retention: hash of the next leaf(8) ‖ data keys destroyed so far(8). There while it is under way and has changed something
//	0x10 ‖ T ‖ 'P'           many are coming in at once: the tree's rows of the kinds N and B are to go at the next start. Empty
//	0x10 ‖ T ‖ 'H' ‖ hash(16)            person(16), sealed under the meta key: was on hold when retention came by. A keyed hash of the person
//
// A sealed row is nonce(12) ‖ AES-256-GCM ciphertext ‖ tag(16), with the associated data "oubli/vault/1" ‖ 0x00 ‖ vault id ‖ row key. A control
// message is sealed like a row with the key 0x10 ‖ T ‖ 0x00 ‖ its own associated data. The key of a meta row is made with HMAC-SHA-256 under the meta hash key: table is
// the first 8 bytes of that of "oubli/meta-table/1" ‖ 0x00 ‖ table, key the first 16 of that of "oubli/meta-key/1" ‖ 0x00 ‖ length of the table(8) ‖ table ‖ key. An event is
// nonce(12) ‖ ciphertext ‖ tag(16) under the data key of its month, with the associated data that the caller gives. A tenant's own keys stand in its root node:
//
//	version(1) ‖ no new keys before month(2) ‖ expired before month(2) ‖ control(32) ‖ meta(32) ‖ meta hash(32) ‖ outbox(32) ‖ for each term of refusals: term(8) ‖ key(32)
//
// A term is the hour of the erasures (hours since 1970), or for longer refusals 2^63 plus the month in which they end (months since January 1970).
// A refusal's mark is the first 16 bytes of HMAC-SHA-256 under the term's key of "oubli/refusal/1" ‖ 0x00 ‖ handle.
//
// # A record, version 1
//
// Varints are unsigned; a string is length(varint) ‖ bytes; a list is count(varint) ‖ members.
//
//	version(1) ‖ flags(1: 1 restricted, 2 objected, 4 hold, 8 retention took a data key) ‖ created(8, unix milliseconds) ‖ first(varint) ‖ person secret(32) ‖ set secret(32) ‖
//	ledger reference(16) ‖ list of month(2) key(32) ‖ list of identities (namespace, id) ‖ list of ambiguous handles ‖
//	list of the other linked persons(16) ‖ list of consents (purpose, granted(1)) ‖ whatever a later version of this format adds
//
// A handle of a page is namespace ‖ ':' ‖ id. Everything is sealed with AES-256-GCM, what the data keys seal through Tink. A mark is the first 16 bytes of HMAC-SHA-256 under the person's
// secret of "oubli/mark/1" ‖ 0x00 ‖ label ‖ 0x00 ‖ for each part: length(8) ‖ part. A period mark is that of "oubli/period/1" ‖ 0x00 ‖ kind(1) ‖ first day(4) under the set secret.
//
// testdata/v1 holds a vault of this format and its answers; TestFormat reads it by this document alone. It is made anew by
// OUBLI_WRITE_GOLDEN=1 go test ./keyvault -run TestGolden.
//
// # An erasure
//
// [Vault.Fence] closes the gates; [Vault.Shred] draws new keys from the leaves and pages of the persons up to the root, re-seals those
// who stay, and
//
//  1. writes the new root key into the register's spare slot, synced;
//  2. commits nodes, records, pages, tombstones in one synced batch;
//  3. overwrites the old slot, synced, and returns.
//
// Before anything may change the database it is opened for reading, up to every tenant's root: what was damaged is refused as it is.
//
// After a crash the slot that opens the newest root node is the root; the other is effaced before anything is served. If the outcome of
// a commit or of an effacement is not known, the vault stops serving until it is opened again, which settles it.
//
// For 24 hours an event of an erased handle that is older than the erasure is refused. Its mark is a hash under a key that lives for one hour of
// erasures and is shredded, with a new root, within the hour after the last of them ended. An erasure may ask for a longer refusal of whatever names the
// handle, at most two years; its mark is under a key of the month in which it ends, shredded when that month is over. [Vault.Admit] lifts it early. While such a key lives, who holds
// database, register and key-encryption key can test whether a handle that they guess is refused, and which entry of the ledger erased it: that is what it costs.
//
// # The erasure of a part
//
// What stays of a person must be sealed anew before the old keys go. [Vault.Successor] writes, for the whole linked set, new person secrets, a new common
// set secret and new ledger references beside the tree, sealed under the outbox key, which is drawn anew at every re-keying: so an old copy of a
// successor does not open, if its person is wholly erased later. [Vault.FencedGate] opens what there is, the successor's gate seals copies of what stays.
// [Vault.Supersede] is an erasure's re-keying, in which the successors take the places of their persons under the same id, with the same handles,
// linked persons and state, and the fences fall: after a crash all of a set is superseded or none.
//
// An event of the erased part is refused for 24 hours, an hour more at most, as below; its mark is a hash of the handle and, for a conversation, of bot and
// conversation, and its row has the time before which an event is refused.
//
// # Retention
//
// [Vault.Expire] takes the data keys of the months before one out of the records of everybody whose linked set is not on hold:
//
//  1. a new root that says so: from here no data key of those months is made, nothing is sealed under one, and no event of them is let in;
//  2. leaf by leaf, in the order of the hashes, the records are re-sealed without them (see tree.Walk), in one batch with the row that says how far it came;
//     opened records lose them before the tenant's lock is let go of, and so do successors;
//  3. a new key for the topmost node, a new root, and the old one effaced: only now do the old keys stop to open old copies, and only now is the month expired.
//
// Between two steps of 2 everything else goes on. A crash, a stop or the end of the context leaves a run that the next call goes on with; each changed
// row is synced with what comes after it. Those on hold are remembered: once their hold is over the next call takes their keys too, with one new root.
//
// # A start and a stop
//
// A tenant's root key is drawn anew, over the same tree, when the vault opens, when it closes, and in the minute after persons came in. So the register
// opens no older copy of the database, though nobody was erased in between, and no database whose log lost its end at a clean stop: [Open] answers
// ErrDamaged.
//
// A change of who is linked with whom, or of a linked set's state, is one batch with the person events that it owes to the stream.
//
// A first contact writes the person with the data key of the month of its event. It is applied under its locks and synced behind them. Until it is
// synced nobody is given a gate of that person.
//
// [Vault.Populate] lets many strangers into an empty tenant at once: after the note 'P' the rows of the new tree, without a sync; then, in one synced batch, the
// root node that leads to them, the count, and the note's end.
//
// # Snapshot and restore
//
// [Vault.Snapshot] holds all rows and root keys of one moment; [Restore] makes of them a vault of the same id under a new register. There everybody enters a new
// tree, and the rows beside it are sealed anew, so that the old root keys open nothing of it. The control key and the keys of hashes stay (a person event on
// the stream is sealed under the one; what the others named cannot be named anew), as do the data keys and secrets in the records, whose events stand
// elsewhere. A person whom a restored vault does not know answers ErrKeyLost, which is an ErrNotFound too.
//
// # Not guaranteed
//
// A fence and a tombstone name a person id in clear, as the stream does. Deleting a meta row is no erasure: an old copy of the vault and the
// present keys open it. A database that is put back to a copy of the same minute, or together with its register, is not noticed here. What the
// positions of the tries tell is said in package tree.
package keyvault
