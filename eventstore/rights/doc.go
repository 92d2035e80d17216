// Package rights is what a person may ask for, and the machine that does it. It knows the other rooms by their contracts alone.
//
// # Reading
//
// [Service.Lookup], [Service.Show], [Service.Preview], [Service.Transcript], [Service.Export] and [Service.OpenCopy] first find the linked set, then make their
// ledger entry, then answer; without the entry nothing is answered. While a member of the set is restricted, Transcript answers ErrWithheld,
// whoever asks; Export answers it to every role but the DPO's, because a restriction does not end a person's right to a copy.
//
// # Erasing
//
// [Service.Erase] goes through these steps. Each is durable before the next begins and can be repeated, so that a crash between
// any two of them, or within one, ends in one erasure under one id:
//
//	1  intent     row in TableErasures: id, the set's persons and ledger references, who asked. (Before it, note and ticket, in a row of their own.)
//	2  pointers   row in TableErased from every person of the set to the id
//	3  requested  ledger entry person-erased with all references
//	4  fenced     Keys.Fence fixes the set for good; its members go into the row, with pointers for those that joined since 1, and, if there
//	              are any, a second ledger entry with all references
//	5  announced  person event "erased" with all period marks, on the stream once journalled
//	6  shredded   Keys.Shred: the acknowledgement
//	7  projected  every projection has passed the event of 5
//	8  removed    Log.Remove of messages, person events and idempotency rows, after Config.Settle; after as long again a second sweep, and a search
//	              (Log.Traces) of the journal and the stream's files that finds nothing of the persons
//	9  completed  the last issue of the certificate is signed and stored
//
// The intent comes first because it alone names the whole set in one write: whatever member is asked about next, in this process or after
// a crash, finds the one id. Nothing happens to the person before the ledger entry of step 3.
//
// An error of Erase before step 3 is done withdraws the intent: nothing happens. When that cannot be known (ErrUncertain of the ledger, or the
// withdrawing itself fails) the intent stays, and asking again, Run or Resume completes it, as they do whatever fails later. A legal hold
// that begins between 1 and 4 withdraws it too, and the ledger is told by an entry [ActErasureRefused].
//
// # Certificates
//
// The certificate of an erasure ([eventstore.Certifier]) gets an issue once projected and once removed, and whenever it is asked for and stages have been reached
// since. An issue is stored before anybody gets it, and the stage completed is the moment of the one that says so: after a crash between the two the row
// follows the certificate, so that there is one chain and no stage twice.
//
// # Erasing a part
//
// A [eventstore.Scope] names one conversation of a bot, or what was said before a day. The steps are the same, with these differences:
//
//	2  no pointers: nobody is taken
//	5  announced  person event "re-sealed": the set's figures go out, and come in again with the copies
//	6  shredded   what stays is stored again ([eventstore.Store.Reseal]), sealed under the keys of successors of the persons; each copy is read back and
//	              compared; then Keys.Supersede destroys the old records, lifts the fence, and refuses what was erased for a day: the acknowledgement
//	8  removed    the messages below the copies, and the old idempotency rows
//
// It acts on the whole linked set, fenced from step 4 to step 6, which takes as long as it takes to store what stays again. Readers skip what stands below the
// copies. A scope that nothing is in is ErrNotFound; who asks again for a part that was erased gets that answer as long as nothing new is in it. What is
// asked next of its persons is another erasure: it waits for the acknowledgement of the part before it. When that cannot come (what stays
// cannot be read, say) and everything is to be erased, the erasure of the part becomes that of everything, with a ledger entry of its own.
//
// The name of the conversation stays in the register of erasures as long as a note would, then only that it was one.
//
// # Changing a state
//
// [Service.Set] restricts, objects, holds and ends each of them, always for the whole linked set:
//
//	1  intent   row in TableStates: who, what, who asked
//	2  entered  ledger entry with all references
//	3  changed  Keys.Change: the state, and the person event that it owes to the stream, in one batch
//	4  done     the intent goes, and the stream is told
//
// An error before 2 is done withdraws the intent; whatever fails later is completed by asking again, by Run or by Resume. Changes of one tenant are made one
// after the other, and what is under way for a person is finished before the next change begins: the last that was asked for stands.
//
// A restriction withholds the events from readers, stops appends and takes the person out of the open figures; an objection does the last alone; a hold
// stops erasure and retention.
//
// # The register of requests
//
// [Service.File] enters what people ask for, also what a bot files, unverified; [Service.Decide] verifies, executes, approves, answers, refuses or ends it. A request
// is one row in TableRequests. Each step makes its ledger entry (codes, references, a hash of the request's id) and then stores the row; asked again after a
// failure it makes the entry once more. The effect has entries of its own, in the name of who asked for it:
//
//	execute  the row says work; an erasure, restriction or objection is carried out by then, or by Run; the row says executed, and which erasure it was
//
// A copy is executed by the export itself, once it is whole. The row holds the person's id in place of the handle as soon as the store knows one, so that the register
// tells of no handle that was erased. A handle of nobody, and the words of an order, go after Config.NoteLife.
//
// [Service.EraseOrWait] keeps in the register what a legal hold stops, and what somebody else has to approve: it is carried out when the hold is over or
// the approval there, also after a crash, and never after it was withdrawn. So is an erasure that a hold stopped after its ledger entry.
//
// # Expiring
//
// [Service.Run] looks at each tenant's retention once a day, and [Service.Expire] is asked by hand. A run is one row in TableRetention and goes through these
// steps, each durable before the next begins and repeatable:
//
//	1  requested  ledger entry expired, with the first key month that is kept
//	2  announced  person event "expired" on the stream: what contributed to periods that begin before counts no more
//	3  expired    Keys.Expire: the acknowledgement. Linked sets on hold are spared and named
//	4  removed    Log.Expire of idempotency rows and messages, but for the spared, after Config.Settle
//	5  silenced   linked sets of which no data key is left are erased, many in one erasure with the reason retention: none of the chunk if one of them
//	              speaks or is put on hold before the fence; they are for the next run
//
// One run at a time; a crash or a failure leaves it to be gone on with. Those who were spared are looked at daily: once a hold is over a run for the same month
// takes what is left.
//
// # Restoring
//
// [Service.Reapply] holds a restored vault to the newest ledger, before anything is served: by the ledger references of the records it erases again, lets the
// months go again with the holds that there were at that time, and brings restrictions, objections, holds and withdrawals of consent to what was said last. A consent
// given since the backup is not given again: its event is lost, and what is not certain is not consent. A longer
// refusal of handles comes with the erasure that it was asked for with, unless it was lifted since. Of who came after the backup the handles are lost, and with
// them the refusal: they are counted.
//
// # Guaranteed
//
//   - When Set returns without error the change is durable, for every member of the set.
//   - When Erase returns without error, the whole linked set is shredded; with a part, the keys that sealed it are, and what stays can be read as before.
//   - All calls for members of one linked set answer one erasure, for ever the same.
//   - An outage is never reported as an erasure: ErrErased comes from the vault alone.
//   - Every effect has a ledger entry before it.
//
// # Not guaranteed
//
//   - The ledger may hold two entries for one erasure or change, after a crash or a failed write.
//   - A state that a link spreads to who joins a set has no entry that names the joined record, until the next act on the set.
//   - Rows of [eventstore.Meta] are sealed but not shredded: an expired note is deleted, and an old copy of the vault keeps it.
//   - Two erasures that both began before their persons were linked stay two, and both complete; each person leads to one of them, always the same.
//   - What a certificate says about backups is what this server knows of those that it made.
package rights
