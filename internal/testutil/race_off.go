//go:build !race

package testutil

// Race reports whether the race detector is on. It makes code many times slower, so tests of large amounts use less.
const Race = false
