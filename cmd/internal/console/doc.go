// Package console is the oubli command: its flags, help, tables, prompts and progress, in front of a server's HTTP API.
//
// # What a script can rely on
//
//   - Exit codes: 0 done; 1 failed; 2 wrong usage; 3 not found; 4 gone (erased); 5 refused (role, hold, restriction, consent);
//     6 damage found or verification failed. [Code] decides.
//   - With --json standard output carries one JSON document (NDJSON for lists) and nothing else; notes, prompts and progress go to standard
//     error, progress only if that is a terminal.
//   - Settings: flags, then the environment, then the file named by --config.
//
// # What a person can rely on
//
//   - Nothing that a stored text contains reaches the terminal as a control character ([clean]); in JSON it is escaped ([terminalSafe]).
//   - No handle goes into a URL, and none need go into the shell's history: --identity - reads it from standard input.
//   - The help, the prompts and the answers of person and erasure exist in English and in French (OUBLI_LANG=fr); a test keeps both complete.
package console
