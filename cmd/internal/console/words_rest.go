package console

// helpOfRest is the help of the commands for operators, bot developers and analysts.
var helpOfRest = map[string]phrase{
	"cmd_serve":   {"Run the server.", "Faire tourner le serveur."},
	"more_serve":  {"The first start makes the data directory, the tenant default, and admin.token, an access token that only its owner can read. It ends with exit code 0 on SIGTERM or SIGINT, once what is under way is answered.", ""},
	"cmd_demo":    {"Everything in one go on a temporary server, explained as it happens. Needs nothing, leaves nothing.", "Tout en une fois sur un serveur temporaire, expliqué au fur et à mesure."},
	"cmd_append":  {"Store events, one JSON object a line.", "Stocker des événements, un objet JSON par ligne."},
	"more_append": {"An event with an id is stored once, however often it is sent. Lines that are refused are named on standard error; the others are stored.", ""},
	"cmd_import":  {"Store conversations from another program's files.", "Stocker les conversations d'un autre logiciel."},
	"more_import": {"Directories are searched for files of the format. The same file again stores nothing twice.", ""},
	"cmd_stats":   {"Statistics about groups, never about a person.", "Des statistiques sur des groupes, jamais sur une personne."},
	"more_stats":  {"Without a table: what there is. Rows about too few persons are hidden; the answer says so.", ""},

	"cmd_tenant":        {"Manage customer environments and their settings.", "Gérer les clients (tenants) et leurs réglages."},
	"cmd_tenant_create": {"Make a tenant.", ""},
	"cmd_tenant_list":   {"All tenants.", ""},
	"cmd_tenant_show":   {"The settings of a tenant.", ""},
	"cmd_tenant_set":    {"Change settings of a tenant.", ""},
	"cmd_tenant_erase":  {"Erase a tenant with everybody in it, for good.", ""},

	"cmd_token":        {"Manage access tokens.", "Gérer les jetons d'accès."},
	"cmd_token_create": {"Make an access token. It is shown once.", ""},
	"more_token_create": {"Roles: bot publishes events under its bot's name; analyst reads statistics; support finds, shows, exports and erases persons; " +
		"dpo does the same and reads the ledger; admin manages tenants, tokens and settings and reaches no person.", ""},
	"cmd_token_list":   {"All access tokens, without their secrets.", ""},
	"cmd_token_rotate": {"Give an access token a new secret; the old one ends at once.", ""},
	"cmd_token_revoke": {"End an access token at once.", ""},

	"cmd_ledger":      {"The record of every privileged act.", "Le registre de chaque acte privilégié."},
	"cmd_ledger_list": {"The entries of the ledger, the oldest first.", ""},
	"cmd_backup":      {"Make a backup of the whole instance: events, vault and ledger.", ""},
	"more_backup": {"The server goes on meanwhile. One age file is written, which only the holders of the recipients' identities can open; the root register and the " +
		"key-encryption key are not in it. The ledger of every tenant records it. docs/backup.md says how to restore, and what cannot be.", ""},
	"cmd_restore": {"Make a data directory of a backup, in an empty place.", ""},
	"more_restore": {"No server may run on --data. All keys are drawn anew, under a new root register. Before anything can be served, every erasure, expiry, restriction, " +
		"objection, hold and withdrawal of consent of the newest ledger is applied again. Until it has ended nothing starts on the directory. docs/backup.md has the procedure.", ""},
	"cmd_vault":        {"The key vault.", "Le coffre à clés."},
	"cmd_vault_status": {"How the key vault is doing.", ""},
	"cmd_vault_expire": {"Destroy the data keys of every month that ends before a day, but for persons on hold.", ""},
	"cmd_vault_check":  {"Open everything in the vault of a stopped server and compare it with the ledger.", ""},
	"more_vault_check": {"Changes nothing. Ends with exit code 6 and the names of what is damaged; with 1 while a server runs on the directory. It reads the " +
		"server's settings (--data, --config, the environment) and asks no server.", ""},
	"cmd_vault_rotate_kek": {"Give the vault of a stopped server another key-encryption key.", ""},
	"more_vault_rotate-kek": {"The register key is wrapped anew, and the old wrapping is overwritten; no other key and no data change. Both key-encryption keys are tried first, and " +
		"the ledger of the tenant default records the act. If the command is interrupted, the old one opens the vault or the new one does.", ""},
	"cmd_log":       {"The log of events.", "Le journal des événements."},
	"cmd_log_check": {"Walk every stored event of a stopped server and open it.", ""},
	"more_log_check": {"Compares log/ with nats/ as a start does, opens every event, and finds events that are missing and idempotency rows that lead nowhere. Changes nothing; " +
		"it works on a copy of nats/ in the directory for temporary files (TMPDIR), which needs room for it. Ends with exit code 6 and the names of what is damaged; with 1 while a " +
		"server runs on the directory.", ""},
	"cmd_log_rebuild": {"Make log/ of a stopped server anew, when it is lost or damaged.", ""},
	"more_log_rebuild": {"Takes what nats/ holds as what was acknowledged, and asks the vault for the idempotency row of every event. Events that were acknowledged in the last seconds " +
		"before the server stopped stand in the lost log/ only and may be missing afterwards: bring back log/ if there is a copy. Refuses where log/ is there: move it away first. " +
		"If it is interrupted, no server starts until it is run again.", ""},
	"cmd_projections":        {"The statistics' machinery.", "La fabrique des statistiques."},
	"cmd_projections_status": {"How far statistics have followed the events.", ""},
	"cmd_config":             {"The settings in force and where they come from, secrets redacted.", "Les réglages en vigueur et leur origine, secrets masqués."},
	"cmd_version":            {"The version.", "La version."},

	"example_serve":              {"oubli serve --data /var/lib/oubli", ""},
	"example_demo":               {"oubli demo", ""},
	"example_append":             {`echo '{"id":"m-1","bot":"shop","conversation":"c-1","type":"message","author":"user","text":"Bonjour"}' | oubli append`, ""},
	"example_import":             {"oubli import --format rasa --bot shop-fr tracker-dump.json\noubli import --format botframework transcripts/\noubli import --format mail --own shop@example.com mail.mbox", ""},
	"example_stats":              {"oubli stats\noubli stats intents --from 2026-11-01 --to 2026-11-30 --by week --where language=fr\noubli stats activity --format csv > activity.csv", ""},
	"example_tenant":             {"oubli tenant list", ""},
	"example_tenant_create":      {"oubli tenant create acme", ""},
	"example_tenant_list":        {"oubli tenant list", ""},
	"example_tenant_show":        {"oubli --tenant acme tenant show", ""},
	"example_tenant_set":         {"oubli --tenant acme tenant set timezone=Europe/Paris", ""},
	"example_tenant_erase":       {"oubli tenant erase acme", ""},
	"example_token":              {"oubli token list", ""},
	"example_token_create":       {"oubli token create --role bot --bot shop-fr --owner \"Web team\" --expires 2027-11-30\noubli token create --role support --owner Paul", ""},
	"example_token_list":         {"oubli token list", ""},
	"example_token_rotate":       {"oubli token rotate 7Q2M4K", ""},
	"example_token_revoke":       {"oubli token revoke 7Q2M4K", ""},
	"example_ledger":             {"oubli ledger list", ""},
	"example_ledger_list":        {"oubli ledger list", ""},
	"example_restore":            {"oubli restore --data /var/lib/oubli --identity quarter.key --ledger-from /mnt/old/oubli oubli.age", ""},
	"example_backup":             {"oubli backup --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudtwf2mqs0jd3r --output oubli.age", ""},
	"example_vault":              {"oubli vault status", ""},
	"example_vault_status":       {"oubli vault status", ""},
	"example_vault_expire":       {"oubli vault expire --before 2024-11-01", ""},
	"example_vault_check":        {"oubli vault check --data /var/lib/oubli", ""},
	"example_vault_rotate-kek":   {"oubli vault rotate-kek --data /var/lib/oubli --new-kek hcvault://vault.example.com:8200/transit/keys/oubli", ""},
	"example_log":                {"oubli log check --data /var/lib/oubli", ""},
	"example_log_check":          {"oubli log check --data /var/lib/oubli", ""},
	"example_log_rebuild":        {"oubli log rebuild --data /var/lib/oubli", ""},
	"example_projections":        {"oubli projections status", ""},
	"example_projections_status": {"oubli projections status", ""},
	"example_config":             {"oubli config --data /var/lib/oubli", ""},
	"example_version":            {"oubli version", ""},
	"example":                    {"oubli demo\noubli serve &\noubli person show --identity email:alice@example.com", "oubli demo\noubli serve &\noubli person show --identity email:alice@example.com"},
}
