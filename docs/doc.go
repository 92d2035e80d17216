// Package docs holds the documentation, and the tests that keep it true: the import rule, and the promises with the tests that
// show them.
package docs
