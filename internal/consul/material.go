package consul

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/consul/api"
)

// A material is something that is made from files and made anew when what they hold changes. It reads them each
// time: they are small, and a content can't be missed, as a time stamp can, when links are swapped.
type material[T comparable] struct {
	// what is its name in the log.
	what string
	read func() (T, error)
	// use takes what was read, unless it is broken.
	use func(T) error

	used T
	// wrong is since when it is unreadable or broken; zero if it isn't.
	wrong time.Time
}

// brokenFor is how long a file may be broken: while it is being written it is.
const brokenFor = time.Second

// look reads the files. What is in use stands where they can't be used, and the error is told when that lasts.
func (m *material[T]) look() (changed bool, err error) {
	next, err := m.read()
	if err == nil && m.used == next {
		m.wrong = time.Time{}
		return false, nil
	}
	if err == nil {
		err = m.use(next)
	}
	if err == nil {
		m.used, m.wrong = next, time.Time{}
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

// readToken returns the token that a file holds.
func readToken(file string) (string, error) {
	content, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	token := strings.TrimSpace(string(content))
	switch {
	case token == "":
		return "", fmt.Errorf("the token file %s is empty", file)
	// The token itself must not get into the error.
	case strings.ContainsFunc(token, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsGraphic(r) || r == ' ' }):
		return "", fmt.Errorf("the token file %s holds something that is no token", file)
	}
	return token, nil
}

// tlsFiles are the contents of the files of TLS, PEM each.
type tlsFiles struct{ ca, cert, key string }

// readTLS reads the files that a configuration names. What it doesn't name is empty.
func readTLS(c api.TLSConfig) (tlsFiles, error) {
	var files tlsFiles
	var errs []error
	read := func(file string) string {
		if file == "" {
			return ""
		}
		content, err := os.ReadFile(filepath.Clean(file))
		errs = append(errs, err)
		return string(content)
	}
	files.ca, files.cert, files.key = read(c.CAFile), read(c.CertFile), read(c.KeyFile)
	if c.CAFile == "" && c.CAPath != "" {
		entries, err := os.ReadDir(c.CAPath)
		errs = append(errs, err)
		for _, entry := range entries {
			path := filepath.Join(c.CAPath, entry.Name())
			// A mounted secret is a folder of links, with folders beside them.
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				files.ca += read(path) + "\n"
			}
		}
	}
	return files, errors.Join(errs...)
}
