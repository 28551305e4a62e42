//go:build !unix

package connlimit

import "math"

func maxDescriptors() int { return math.MaxInt32 }
