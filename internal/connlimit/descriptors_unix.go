//go:build unix

package connlimit

import (
	"math"
	"syscall"
)

// maxDescriptors returns the number of files that the process may open. Go raises the soft limit to the hard one at start.
func maxDescriptors() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxInt32
	}
	return int(min(uint64(limit.Cur), math.MaxInt32))
}
