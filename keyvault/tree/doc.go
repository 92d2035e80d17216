// Package tree is the key tree of one tenant: nodes, leaves, pages, re-keying and splitting. It does no I/O of its own: it reads rows
// through [Store] and puts what changes into a [Batch], which its owner commits.
//
// # Shape
//
// Two radix tries hang under one root node: the leaves, over the random bits of the person id, and the pages, over a keyed hash of the
// canonical handle. A trie begins as one bucket. A bucket that holds more than [BucketMax] items becomes a node of [Fan] buckets;
// so depth follows size. A node holds, for each child, its kind, its generation and its key. A bucket's items (records, handles) are rows of
// their own, sealed one by one under the bucket's key: to read or add one touches no other. The row of a handle is named by a keyed hash of the
// handle under the page's key, so that it is found with one read, and so that no row can be tested against a guessed handle without that key.
//
// # Rows, version 1
//
// All integers are big endian. Every row key begins with the owner's prefix; "position" is trie ('l' or 'p'), depth (1 byte) and the
// hash bits above the depth, left-aligned in 8 bytes.
//
//	'R' generation(8)                             root node, sealed under the root key
//	'N' position(10) generation(8)                node, sealed under the key that its parent holds
//	'B' 'l' depth prefix generation(8) person(16) record, sealed under its leaf's key
//	'B' 'p' depth prefix generation(8) name(16)   handle, sealed under its page's key
//
// A sealed value is version(1) ‖ nonce(12) ‖ AES-256-GCM ciphertext ‖ tag(16), with the associated data "oubli/tree/1" ‖ 0x00 ‖ vault id(16) ‖ row key.
// A row that was moved, or belongs to another vault or tenant, does not open. Inside:
//
//	child   kind(1: 1 bucket, 2 node) ‖ generation(8) ‖ key(32)
//	root    fan bits(1) ‖ generation(8) ‖ child (leaves) ‖ child (pages) ‖ hash key(32) ‖ the owner's keys
//	node    child × Fan
//	handle  person(16) ‖ handle
//	record  the owner's
//
// A name is the first 16 bytes of HMAC-SHA-256 under the page's key of "oubli/handle/1" ‖ 0x00 ‖ handle. The hash of a person is bytes 6 to
// 13 of the id; that of a handle the first 8 bytes of HMAC-SHA-256 under the hash key. Each level takes the next [FanBits] of them.
//
// # Beside the rows
//
// In memory a bucket has a census: a print of each name in it, so that a first contact reads nothing to learn that its handle is not there, and a split
// is noticed. It holds at least what the bucket holds. The owner of a [Slot] keeps others from its handle from before Put until after Note; who looks
// without that may be told of a handle that it is lacking while it is being put, and must look again when it has the owner's lock, with Get,
// unless nobody put a handle there meanwhile. Nodes are kept up to [Config.Nodes], and ciphers
// of buckets up to an eighth of it.
//
// # Built at once
//
// A [Builder] makes of items in the order of their hashes the tree that would have grown of them, each row sealed once.
//
// # Guaranteed
//
// [Tree.Rekey] takes items out so that the new root key opens nothing that held them: every key above an item that is taken out,
// wherever it ever stood, is drawn anew, up to the root. The old root key opens the old generation until the owner effaces it; the old rows
// are deleted in the same batch, which saves space and protects nothing.
// Many buckets are re-sealed by several goroutines, into one batch; which keys are drawn, and in which order, does not depend on them.
//
// # Not guaranteed
//
// Whoever holds an old copy of the rows, the present rows and the present root key can see which positions were re-keyed in between, and so
// whether a guessed handle hashes to one of them: at most depth × [FanBits] bits of evidence, shared with every other item that
// was or is there. Neither handle nor person comes out of it. How many records and handles stand at a position is seen without any key.
package tree
