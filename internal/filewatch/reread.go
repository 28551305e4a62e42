// Package reread keeps up with files that change while they are in use: tokens, certificates and keys that somebody
// rotates.
package filewatch

import "time"

// Every is how often files are to be looked at. Kubernetes takes a minute to update a mounted secret.
const Every = 5 * time.Second

// brokenFor is how long a file may be broken: while it is being written it is.
const brokenFor = time.Second

// A Loader is something that is made from files and made anew when what they hold changes. It reads them each
// time: they are small, and a content can't be missed, as a time stamp can, when links are swapped.
type Loader[T comparable] struct {
	// Read reads the files.
	Read func() (T, error)
	// Use takes what was read, unless it is broken.
	Use func(T) error
	// Used is what is in use.
	Used T

	// wrong is since when it is unreadable or broken; zero if it isn't.
	wrong time.Time
}

// Look reads the files. What is in use stands where they can't be used, and the error is told when that lasts.
func (m *Loader[T]) Look() (changed bool, err error) {
	next, err := m.Read()
	if err == nil && m.Used == next {
		m.wrong = time.Time{}
		return false, nil
	}
	if err == nil {
		err = m.Use(next)
	}
	if err == nil {
		m.Used, m.wrong = next, time.Time{}
		return true, nil
	}
	if m.wrong.IsZero() {
		m.wrong = time.Now()
	}
	if time.Since(m.wrong) < brokenFor {
		return false, nil
	}
	return false, err
}
