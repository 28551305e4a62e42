//go:build !race

package connlimittest

const raceFactor = 1
