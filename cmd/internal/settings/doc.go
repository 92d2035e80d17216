// Package settings holds what can be set: the server's settings ([Server], from flags, environment and a file) and each tenant's ([Tenant],
// in sealed rows).
//
// # The server
//
// A value comes from the first of these that has one: the flag (--data), the environment (OUBLI_DATA), the file (data = … or {"data": …}),
// the default. [Load] checks every value by itself and reports all that are wrong at once, never repeating one; [Server.Check] then holds
// them together: what can never work, and everything that --production refuses, again all at once.
//
//	s, err := settings.Load(flags, os.LookupEnv, "oubli.conf")
//	if err == nil { err = s.Check() }
//
// A file is JSON if its first character is {, and otherwise lines of "name = value", with # for comments. Unknown names are refused by line.
//
// # A tenant
//
// [Tenants] keeps one row for each setting that was set. [Describe] lists them all with their meaning for people.
//
// # Not guaranteed
//
// Check looks at the filesystem as it is when asked. That a filesystem with reflinks or a remapping device overwrites in place cannot be seen.
package settings
