package consul

import (
	"math/rand/v2"
	"time"
)

const (
	firstPause = time.Second
	longPause  = 30 * time.Second
	// An operator has to act before a slow retry can succeed.
	deniedPause    = 30 * time.Second
	filteredPause  = time.Minute
	unaskablePause = 5 * time.Minute
)

// jitter returns d, up to a fifth longer or shorter, so that many waits don't end at once.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d - d/5 + rand.N(2*d/5+1)
}

// jitterMost returns the longest that jitter makes of d.
func jitterMost(d time.Duration) time.Duration { return d + d/5 }

// delay returns how long to wait after so many failures in a row, the last one for that reason.
func delay(r reason, failures int) time.Duration {
	switch r {
	case denied, anonymous, tooLarge:
		return jitter(deniedPause)
	case filtered:
		return jitter(filteredPause)
	case unaskable, badExpression:
		return jitter(unaskablePause)
	}
	shift := min(max(failures-1, 0), 5)
	return jitter(min(firstPause<<shift, longPause))
}
