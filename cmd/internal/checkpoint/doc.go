// Package checkpoint keeps the newest signed checkpoint of every tenant's ledger outside of the data directory, with the ledger's entries beside it. It is
// what a data directory can be held to that was rolled back as a whole, and what a restore takes the newest ledger from.
//
// # Where
//
// The place is a file or an http(s) URL that answers GET and PUT of whole objects, and 404 for one that is not there. Beside the document, FILE (or URL), stand
// the entries: FILE.d/TENANT/FIRST (or URL.d/TENANT/FIRST; a query is kept), where FIRST is the number of the first entry in it, 20 digits. Whoever can write there can
// make the server refuse to start, and take from a restore what happened since; who can only read sees codes, token ids, ledger references and times.
//
// # Format, version 1
//
// The document is JSON in exactly the form that this package writes:
//
//	{"version": 1, "vault": ID, "updates": COUNT, "tenants": [{"tenant": NAME, "key": PUBLIC, "checkpoint": NOTE} or {"tenant": NAME, "erased": true}, …], "sum": SHA-256}
//
// with the tenants in ascending order and sum, in hexadecimal, over the document with an empty sum. NOTE is a checkpoint of package ledger under PUBLIC. An
// object of entries holds at most 256 of them:
//
//	for each: length(4, big endian) ‖ record; at last the SHA-256 of all that
//
// COUNT grows with each update, and the vault knows it first, in a sealed row: a vault that knows a lower one is an older copy, however new the ledger is.
//
// An object may hold more entries than the checkpoint covers: entries are written first. The object that is not full is written anew with each update.
//
// # Guaranteed
//
//   - Each object is replaced as a whole; files are synced, with their folder, before the document names them.
//   - [Load] returns what was written, or an error that names the damage: every byte is covered by a sum, and the entries by the signed root.
//   - [Open] and [Keeper.Compare] refuse with ErrDamaged a ledger that is shorter than the checkpoint or does not begin with it, a tenant that it erased and the vault
//     holds, one that the vault has never known, another vault, and a vault that is an older copy than the ledger beside it.
//
// # Not guaranteed
//
//   - The checkpoint follows the ledger within about a second, and later while the place cannot be written: nothing waits for it. A data directory that
//     is rolled back by less than that is not noticed.
//   - A place that is empty is begun anew: who can delete the document can have a rolled-back directory served. A warning says so.
//   - Entries of an erased tenant stay until somebody deletes them.
package checkpoint
