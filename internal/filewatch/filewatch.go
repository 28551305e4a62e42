// Package filewatch follows files that change while the process uses them, such as tokens, certificates and keys that
// are rotated.
package filewatch

import "time"

// Interval is how often a caller polls its files. Kubernetes takes about a minute to update a mounted secret.
const Interval = 5 * time.Second

// writeTime is how long a file may be unusable before Poll reports it. A file is unusable while another process writes it.
const writeTime = time.Second

// Loader builds a value from files and rebuilds it when their content changes. It reads the files on each poll: the files
// are small, and the content cannot be missed. A modification time can be missed when symbolic links are swapped.
type Loader[T comparable] struct {
	// Read returns the content of the files.
	Read func() (T, error)
	// Use applies new content. It returns an error if the content is invalid.
	Use func(T) error
	// Used is the content in use.
	Used T

	// failingSince is when the files became unreadable or invalid; zero while they are usable.
	failingSince time.Time
}

// Poll reads the files and applies new content. It reports whether the content in use changed. If the files cannot be
// used, the content in use stays, and Poll returns the error once the failure has lasted for a second.
func (l *Loader[T]) Poll() (changed bool, err error) {
	next, err := l.Read()
	if err == nil && l.Used == next {
		l.failingSince = time.Time{}
		return false, nil
	}
	if err == nil {
		err = l.Use(next)
	}
	if err == nil {
		l.Used, l.failingSince = next, time.Time{}
		return true, nil
	}
	if l.failingSince.IsZero() {
		l.failingSince = time.Now()
	}
	if time.Since(l.failingSince) < writeTime {
		return false, nil
	}
	return false, err
}
