// Package projections turns events into anonymous statistics.
//
// A runner follows each tenant's stream and gives every opened event to the registered read models ([readmodel.Model]); their facts are added
// to cells in a database that holds no text, no handle, no person id and no external id. [Projections.Stats] answers with what the rules of
// package release let through, and nothing else leads out.
//
// # Who stands where
//
// Per period the database holds what each human added to each cell, so that distinct persons are exact and a person is removable. Two marks are at
// work, both of them pseudorandom functions under secrets in the vault, different in every period, and untestable once those secrets are gone:
//
//   - the tag of a person id ([LabelTag], under the person's own secret). Contributions are kept by tag, so that one member of a linked set can
//     be taken out alone: a restriction that came before a link, met again by a rebuild after it;
//   - the mark of the linked set ([eventstore.Keys.PeriodMark]). A tag stands under one mark, and a cell counts distinct marks, so that one human
//     with ten visitor ids counts once.
//
// A tag's mark is asked of the vault when the tag first contributes in a period; from then on only the stream's linked events move it. The vault may
// be ahead of the stream by then, which changes nothing: a move away from a mark that the tag never stood under finds nothing to move, and the
// last move ends where the vault is.
//
// Conversations are counted by a mark of bot and conversation under the person's own secret ([eventstore.MarkConversation]). It does not change when
// persons are linked, so an order of events and links cannot change a count; the price is that a conversation which two ids of one human share counts twice.
//
// # Conversations
//
// Some facts need a whole conversation: how it ended, how long an answer took, which intent followed which. For these the database keeps, for each person id, bot
// and month, the history of what was said (package conversation: times, kinds, names of channels and intents), in a row that is named and sealed by
// marks of the bot under the person's own secret ([LabelHistory]): without that secret nobody can tell whose it is, or read it. A read model says what
// follows from a history ([readmodel.Model.Conversations]); whenever a history has changed, once a batch, what followed before is taken out of the cells and what
// follows now is added. So no clock decides when a conversation is over: the cells are a function of the events that are counted, in whatever order they
// came, and a person's histories go with the rest of what they added. While a period is open its newest conversations count as if nothing more came.
//
// A history ends with the month of the tenant's zone, and when the month has expired there is none: what of it comes later adds to no model of this kind.
//
// # Wordings
//
// A cell of a model whose last dimension is a wording is named by a keyed hash of its values as every cell is, and the wording itself is stored nowhere. It is
// read back from the stream.
//
// # Who is left out
//
// Everybody counts but who is restricted, objected, or answered no to statistics (purpose "analytics"). Where the tenant asks for consent ([Settings.Consent]), only who
// answered yes counts, from the answer on; who takes it back, in whatever order with a link, is out of every open period.
//
// Which persons are left out, and who consented, must be known at every position of the stream, also after a re-seal gave them new secrets, so it is kept
// under a keyed hash of the person id, whose key is sealed under the tenant's control key. The row goes when the person is erased. Its leftover bytes tell
// whoever holds the tenant's control key and the person id that there once was a restriction; an old copy of the person event itself, sealed
// under the same key, would tell them more.
//
// # Rows
//
// Every key T begins with the tenant's name and the byte of a slot, 0 or 1.
//
//	0x00 format                                             version of this layout
//	T 'H'                                                   header: vault, time zone, models (JSON)
//	T 'K'                                                   the tenant's database key, sealed under its control key
//	T 'S'                                                   position: the sequence up to which everything is counted
//	T 'L' hash                                              a person who is left out: flags
//	T 'T' period tag                                        the mark under which the tag stands, and what it added to which cells
//	T 'G' period mark tag                                   a tag that stands under the mark
//	T 'R' period tag model cell conversation                a conversation of the tag that was counted in the cell
//	T 'V' month tag bot                                     the history of the tag's conversations with a bot in the month, sealed under the person's secret
//	T 'P' model period cell mark                            how many tags of the mark stand in the cell
//	T 'X'                                                   the month before which no period counts
//	T 'E' period                                            when the first and last event of an open period came in, by the hour, and the first sequence
//	T 'Z' model period                                      the release: sequence, zone, record
//	T 'N'                                                   the last record of STATS_<tenant> that is known, and the day before which releases are gone
//	T 'D' model period                                      the record of a release that is being published
//	T 'Y'                                                   how many events were late
//	0x00 slot 0x00 tenant                                   the slot in use
//	T 'C' model period cell                                 the cell: distinct persons, sums, and the values of its dimensions, sealed
//
// A cell's name is a keyed hash of its values. All of an event's effects, and the position, are one batch, synced: an event counts once, whatever
// crashes. Only days carry measures; weeks and months carry distinct persons, as their measures are sums of what is published of their days.
//
// The header names the layout of the rows beside the models; rows of another layout are made anew from the stream.
//
// # Batches and memory
//
// An event changes the row of its person's tag in three periods. Rows are changed in memory and written once a batch, of at most 16384 messages or about
// 32 MiB; a cache of what was read and written last, of at most about 64 MiB a running tenant, spares reading them again. An error between reading and
// writing drops the batch and what the cache knows of it: what is counted is counted again from the position. Only answers of the vault that say to wait
// (a fence, an outage) commit what stands before them, as the vault is asked before anything of a message is counted.
//
// When the database cannot write its log the process ends, as nobody knows what of the last batch is on disk: the next start reads the position and finds
// all of the batch counted or nothing.
//
// # The law
//
// For every history of appends, links, restrictions, objections, re-seals, erasures, expiries and crashes, the cells that the runner arrives at are those
// that a fresh database over the same stream and the same vault arrives at. It holds as long as a model has at most [MaxCells] cells in a period:
// what comes then counts under (other), and which cells came first depends on who was erased since.
//
// What this asks of others: a linked event carries the marks of the absorbed set for all its periods; erased, restricted, objected and re-sealed events those of
// the whole linked set and name all of its members, and stand behind the linked events of that set; copies of a re-sealed person are appended behind the re-sealed event.
//
// # Retention
//
// An expired event on the stream names a month. What was added to periods that begin before it, whoever added it, goes; what is read of them later, also behind
// the event, adds nothing. So it does not matter which of their events a rebuild can still read. A week that begins before the month loses the days that lie in
// it; the days themselves stay.
//
// # Answers
//
// An answer ([Answer]) carries its parameters, says in notes what is hidden and why, and has the columns of the dictionary ([Projections.Dictionary]): these are
// fixed, and held against a golden file. It has at most [MaxRows] rows. [Projections.SQL] asks the same figures in SQL, over databases in memory that hold nothing else
// (package sqltables); a tenant's queries are given that tenant's tables alone. Package tabular gives an answer its forms.
//
// # Closes
//
// A period is closed when it and what came in for it are older than the grace time, at the latest 14 days after it ended or its first event came in, or when somebody asks. The
// steps of a close, and what a crash between any two of them leaves, are described at closeDue. A month waits for its last week, whose facts of conversations rest on the month's rows.
// The close names the last sequence that it counts, the tenant's position, and makes a [release.Release] for each model; then the period's T, G, R, V, P, C and E rows go. A later event
// for it is late: counted as late, in no figure. Copies of a re-sealed person are neither counted nor late.
//
// A release closes the instants of its period in the time zone of its day. When the zone changes, open periods are counted anew, no instant counts twice, and what only the new zone
// brings into a released name is late.
//
// The law then reads: what is open, and the releases, are what a fresh database over the same stream, vault and STATS_<tenant> arrives at. The number of late events is outside of it.
//
// Releases whose time is over are deleted here whole, and a record says so; their hash stays in the ledger. The records themselves stay in STATS_<tenant>.
//
// # Rebuilding
//
// [Projections.Rebuild] counts a tenant into its other slot, some thousand messages at a time between the turns of the live rows, and changes over in one write once it has come as far.
package projections
