// Package server makes one running server of all rooms: for `oubli serve`, `oubli demo` and tests.
//
// # Start
//
//	data directory   made if missing (mode 0700), locked, its format checked
//	vault            opened; made on the first start
//	nats, streams    the embedded server, or a connection to the cluster that is named
//	tenants          for each: streams compared with what was acknowledged, ledger, interrupted erasures completed up to their acknowledgement
//	admin token      on the first start, in admin.token
//	projections      one runner for each tenant; the machine that completes erasures
//	NATS service     only where a port is opened
//	listener         last: what answers, answers rightly
//
// [Server.Stop] goes the other way. What fails at start closes what was opened, and the error says what is wrong and what to do.
//
// # The data directory
//
//	oubli-data    the format of the directory, one line; locked while a server runs
//	admin.token   nats/  log/  vault/  roots/  projections/  kek
//	stopped       after a stop in good order only: the list of all files, which the next start compares before it opens anything
//
// A directory is new until that line stands in it, which is when the vault, the default tenant and the admin token are there; only in a new
// directory is a vault made. So a vault that was lost is damage, and not a reason to begin anew.
//
// # Backup and restore
//
// [Server.Backup] and the schedule write files of package backup while everything goes on. [Restore] makes a directory of one: while it works, oubli-data says
// so and nothing opens the directory ([ErrUnfinished]); streams, vault and log/ are made anew; the ledger goes on with the newest there is; then what it
// says happened since the backup is applied again; last, in one rename, oubli-data says that the directory is whole.
//
// # Tenants
//
// A tenant is made in this order: key tree, streams, ledger; then a row in its own sealed settings says that it is whole. One without the row was interrupted
// and is finished at the next start. One is erased in this order: a row in the default tenant that says so, runner stopped, root effaced, streams and figures
// deleted, the row taken out. A row that is still there at start is carried out.
//
// # NATS
//
// With --nats-listen bots can append over NATS: a request to oubli.v1.append whose payload is one event. The same access token is needed twice: as the
// connection's token, and, since a request does not say which connection it came by, in its header Authorization: Bearer TOKEN. The answer is what HTTP would
// answer: a receipt, or a problem with the headers Nats-Service-Error-Code (the status) and Nats-Service-Error (the kind). A bot's connection
// receives only below _INBOX.<token id> (the third part of the token's text), publishes only to oubli.v1.append and to $SRV (service
// discovery), and lives in an account that has no streams.
//
//	nats --server nats://127.0.0.1:4222 --user "$TOKEN" --inbox-prefix "_INBOX.$(echo "$TOKEN" | cut -d_ -f3)" \
//	     request oubli.v1.append --header "Authorization: Bearer $TOKEN" \
//	     '{"conversation":"c1","type":"message","author":"user","text":"Bonjour"}'
//
// A token that is revoked is refused at its next request; its connection stays open until it is closed, and is of no use.
package server
