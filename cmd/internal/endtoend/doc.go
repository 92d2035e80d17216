// Package endtoend holds the tests that need the whole program: real conversations from a bot's message to an erased person, and the
// search for anything personal that stands in clear. It has nothing but tests.
package endtoend
