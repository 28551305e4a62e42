package blocking

import (
	"math/rand/v2"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/consul/failure"
)

const (
	firstPause = time.Second
	maxPause   = 30 * time.Second
	// The following failures end only after an operator has acted.
	deniedPause      = 30 * time.Second
	filteredPause    = time.Minute
	invalidNamePause = 5 * time.Minute
)

// Jitter returns d, up to a fifth longer or shorter, to spread waits that begin together.
func Jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d - d/5 + rand.N(2*d/5+1)
}

// MaxJitter returns the longest duration that Jitter returns for d.
func MaxJitter(d time.Duration) time.Duration { return d + d/5 }

// Backoff returns the pause after that many failures in a row, of which the last has the reason.
func Backoff(r failure.Reason, failures int) time.Duration {
	switch r {
	case failure.Denied, failure.Anonymous, failure.TooLarge:
		return Jitter(deniedPause)
	case failure.Filtered:
		return Jitter(filteredPause)
	case failure.InvalidName, failure.BadFilter:
		return Jitter(invalidNamePause)
	}
	shift := min(max(failures-1, 0), 5)
	return Jitter(min(firstPause<<shift, maxPause))
}
