// Package conventions has the tests of conventions that no compiler checks: imports between packages, words, log
// messages, and names of code in the documents. "make lint" runs them. It exports nothing.
package conventions
