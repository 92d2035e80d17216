// Package backup is the file that `oubli backup` writes and `oubli restore` reads: what is in it, who can open it, and the schedule that makes and
// deletes such files. It alone knows age.
//
// # The file, version 2
//
// One age file (age-encryption.org/v1), sealed to the recipients that were named: X25519, the hybrid post-quantum ones, or SSH keys. Its payload is a
// sequence of frames:
//
//	length(4, big endian) ‖ record
//
// A record is a CBOR array of two in core deterministic encoding (RFC 8949, section 4.2.1): a kind, and a body. At most 64 MiB.
//
//	kind  body
//	1     header   {0 "oubli backup", 1 version, 2 vault id(16), 3 moment, 4 expires, 5 program, 6 [tenants]}
//	      tenant   {0 name, 1 number, 2 erased, 3 last sequence of its stream, 4 number of ledger entries at the moment, 5 last sequence of its attachments}
//	2     section  {0 kind of section, 1 tenant, 2 last sequence, 3 [roots]}
//	      root     {0 tenant's number, 1 root key(32)}
//	3     items    [[number, key, value, time], …]
//	4     end      {0 number of the section's items}
//	5     trailer  {0 number of all items, 1 number of sections, 2 SHA-256 of all frames before this one}
//
// Times are nanoseconds since 1970 (UTC). What is empty or zero is left out. The sections stand in exactly this order, for the tenants that are not erased
// in the order of the header:
//
//	CONV    of each tenant   number: sequence; key: person (empty for control messages); value: the envelope as it is stored; time: when it was stored
//	BLOB    of each tenant   the same, of the chunks of attachments (not in version 1)
//	STATS   of each tenant   number, value: a record
//	VAULT                    roots: the root keys of the moment; key, value: a row of the vault as it is stored
//	LEDGER  of each tenant   number, value: an entry
//
// Numbers ascend within a section; keys of the vault ascend. Behind the trailer there is nothing.
//
// # The moment
//
// The vault's rows, the root keys, the last sequences and the sizes of the ledgers in the header are of one moment, at which nobody wrote. Every
// event up to the last sequence opens with that vault. The ledger goes on to the end of the making: what it says happened since is
// applied again by a restore.
//
// # Guaranteed
//
//   - Without an identity of one of the recipients the file says nothing but its size. The root register, the register key and the key-encryption key are
//     not in it at all; root keys stand only inside the envelope.
//   - A file that is cut, changed, or whose parts stand in another order is refused with an error that says so, and never ends like a whole one.
//   - Writing and reading need memory for a few frames, whatever the size.
//
// # Not guaranteed
//
//   - Who holds an identity opens everything that the file holds, until the identity is destroyed: people who were erased after the moment, too. The date
//     of expiry is kept by `oubli restore` and by the schedule; to the holder of an identity it is a number.
//   - age does not say who made a file. That a ledger continues the one of the file is what a restore checks it by.
package backup
