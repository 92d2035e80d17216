package console

// Globals are the options that every command takes.
type Globals struct {
	Server    string `env:"OUBLI_SERVER" default:"http://127.0.0.1:8420" placeholder:"URL" help:"${flag_server}"`
	Token     string `env:"OUBLI_TOKEN" placeholder:"TOKEN" help:"${flag_token}"`
	TokenFile string `env:"OUBLI_TOKEN_FILE" placeholder:"FILE" help:"${flag_token_file}"`
	Tenant    string `env:"OUBLI_TENANT" placeholder:"NAME" help:"${flag_tenant}"`
	Data      string `env:"OUBLI_DATA" placeholder:"DIR" help:"${flag_data}"`
	Config    string `env:"OUBLI_CONFIG" placeholder:"FILE" help:"${flag_config}"`
	JSON      bool   `name:"json" help:"${flag_json}"`
}

// commands is the whole command line.
type commands struct {
	Globals

	Serve serveCmd `cmd:"" help:"${cmd_serve}"`
	Demo  demoCmd  `cmd:"" help:"${cmd_demo}"`

	Append appendCmd `cmd:"" help:"${cmd_append}"`
	Import importCmd `cmd:"" help:"${cmd_import}"`

	Person struct {
		Show       showCmd       `cmd:"" help:"${cmd_person_show}"`
		Transcript transcriptCmd `cmd:"" help:"${cmd_person_transcript}"`
		Export     exportCmd     `cmd:"" help:"${cmd_person_export}"`
		Consent    consentCmd    `cmd:"" help:"${cmd_person_consent}"`
		Erase      eraseCmd      `cmd:"" help:"${cmd_person_erase}"`
		Restrict   restrictCmd   `cmd:"" help:"${cmd_person_restrict}"`
		Unrestrict unrestrictCmd `cmd:"" help:"${cmd_person_unrestrict}"`
		Object     objectCmd     `cmd:"" help:"${cmd_person_object}"`
		Unobject   unobjectCmd   `cmd:"" help:"${cmd_person_unobject}"`
		Hold       holdCmd       `cmd:"" help:"${cmd_person_hold}"`
		Unhold     unholdCmd     `cmd:"" help:"${cmd_person_unhold}"`
		Admit      admitCmd      `cmd:"" help:"${cmd_person_admit}"`
	} `cmd:"" help:"${cmd_person}"`
	Erasure struct {
		List erasureListCmd `cmd:"" help:"${cmd_erasure_list}"`
		Show erasureShowCmd `cmd:"" help:"${cmd_erasure_show}"`

		Certificate certificateCmd `cmd:"" help:"${cmd_erasure_certificate}"`
	} `cmd:"" help:"${cmd_erasure}"`
	Request struct {
		List   requestListCmd   `cmd:"" help:"${cmd_request_list}"`
		Show   requestShowCmd   `cmd:"" help:"${cmd_request_show}"`
		Add    requestAddCmd    `cmd:"" help:"${cmd_request_add}"`
		Decide requestDecideCmd `cmd:"" help:"${cmd_request_decide}"`
	} `cmd:"" help:"${cmd_request}"`

	Stats statsCmd `cmd:"" help:"${cmd_stats}"`
	SQL   sqlCmd   `cmd:"" name:"sql" help:"${cmd_sql}"`

	Tenant struct {
		Create tenantCreateCmd `cmd:"" help:"${cmd_tenant_create}"`
		List   tenantListCmd   `cmd:"" help:"${cmd_tenant_list}"`
		Show   tenantShowCmd   `cmd:"" help:"${cmd_tenant_show}"`
		Set    tenantSetCmd    `cmd:"" help:"${cmd_tenant_set}"`
		Erase  tenantEraseCmd  `cmd:"" help:"${cmd_tenant_erase}"`
	} `cmd:"" help:"${cmd_tenant}"`
	Token struct {
		Create tokenCreateCmd `cmd:"" help:"${cmd_token_create}"`
		List   tokenListCmd   `cmd:"" help:"${cmd_token_list}"`
		Rotate tokenRotateCmd `cmd:"" help:"${cmd_token_rotate}"`
		Revoke tokenRevokeCmd `cmd:"" help:"${cmd_token_revoke}"`
	} `cmd:"" name:"token" help:"${cmd_token}"`
	Verify verifyCmd `cmd:"" help:"${cmd_verify}"`
	Ledger struct {
		List       ledgerListCmd       `cmd:"" help:"${cmd_ledger_list}"`
		Verify     ledgerVerifyCmd     `cmd:"" help:"${cmd_ledger_verify}"`
		Checkpoint ledgerCheckpointCmd `cmd:"" help:"${cmd_ledger_checkpoint}"`
	} `cmd:"" help:"${cmd_ledger}"`
	Vault struct {
		Status    vaultStatusCmd    `cmd:"" help:"${cmd_vault_status}"`
		Check     vaultCheckCmd     `cmd:"" help:"${cmd_vault_check}"`
		Expire    vaultExpireCmd    `cmd:"" help:"${cmd_vault_expire}"`
		RotateKEK vaultRotateKEKCmd `cmd:"" name:"rotate-kek" help:"${cmd_vault_rotate_kek}"`
	} `cmd:"" help:"${cmd_vault}"`
	Log struct {
		Check   logCheckCmd   `cmd:"" help:"${cmd_log_check}"`
		Rebuild logRebuildCmd `cmd:"" help:"${cmd_log_rebuild}"`
	} `cmd:"" help:"${cmd_log}"`
	Projections struct {
		Status  projectionsStatusCmd  `cmd:"" help:"${cmd_projections_status}"`
		Close   projectionsCloseCmd   `cmd:"" help:"${cmd_projections_close}"`
		Rebuild projectionsRebuildCmd `cmd:"" help:"${cmd_projections_rebuild}"`
	} `cmd:"" help:"${cmd_projections}"`

	Backup  backupCmd  `cmd:"" help:"${cmd_backup}"`
	Restore restoreCmd `cmd:"" help:"${cmd_restore}"`

	ShowConfig configCmd  `cmd:"" name:"config" help:"${cmd_config}"`
	Version    versionCmd `cmd:"" help:"${cmd_version}"`
}
