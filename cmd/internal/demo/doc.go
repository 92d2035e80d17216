// Package demo is `oubli demo`: the whole path on a temporary server, explained as it happens, each claim checked while it is shown.
//
// What it shows goes through what people use: events over HTTP with package client, acts of staff through the commands themselves. What an
// attacker could do is tried through the real packages (keyvault, streams, eventstore) on copies of the data directory.
//
// # What is proved, and how
//
// A [Fact] is something that was tried and came out as it must. Where a fact says that something cannot be done, a control before it shows
// that the same attempt succeeds when it should: the copy opens with the roots of its time; the search finds a text that was planted.
// A fact that does not hold ends the demo with [ErrNotProved].
//
// # What is not proved
//
// It cannot show what a disk keeps below the filesystem; see docs/threat-model.md. Oubli's claim is about the root register: it must be
// overwritten in place and never be copied.
package demo
