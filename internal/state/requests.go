package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/safefile"
)

const (
	// maxRequest limits the size of a release request, in bytes.
	maxRequest = 1 << 12
	// requestMode lets isthmus read the request of another user, for example of root.
	requestMode = 0o644
	// requestSuffix follows the path of the state file in the path of a request.
	requestSuffix = ".release"
	// draftSuffix follows the path of the state file in the path of a request that is being written.
	draftSuffix = ".asking-"
)

// Request asks the isthmus that owns a state file to release the held removals of a source. Every user who can write to
// the directory of the state file can send a request. It returns the number of held removals, and an error if nothing is
// held.
func Request(path, source string) (string, error) {
	content, err := peek(path)
	if err != nil {
		return "", err
	}
	hold, held := content.holds[source]
	if !held {
		return "", fmt.Errorf("source %q has no held removals in state file %s", source, path)
	}
	if err := submit(path, source); err != nil {
		return "", fmt.Errorf("request: %w", err)
	}
	return hold.Size(), nil
}

// submit creates a request next to the state file. It creates a new file with a random name and follows nothing, because
// root may submit it in a directory that another user owns.
func submit(path, source string) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+draftSuffix+"*")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, source)
	err = errors.Join(err, file.Chmod(requestMode), file.Close())
	if err == nil {
		_, number, _ := strings.Cut(filepath.Base(file.Name()), draftSuffix)
		err = os.Rename(file.Name(), path+requestSuffix+"-"+number)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// Held returns the hold of a source from its state file; false if nothing is held.
func Held(path, source string) (guard.Hold, bool, error) {
	content, err := peek(path)
	hold, held := content.holds[source]
	return hold, held, err
}

// peek reads a state file that another process writes.
func peek(path string) (content, error) {
	c := newContent()
	file, info, err := safefile.Open(path)
	if err != nil {
		return c, fmt.Errorf("state file: %w", err)
	}
	defer file.Close()
	if info.Size() > maxSize {
		return c, fmt.Errorf("state file %s: %d bytes, at most %d are allowed", path, info.Size(), maxSize)
	}
	if _, err := c.read(io.LimitReader(file, info.Size())); err != nil {
		return c, fmt.Errorf("state file %s: %w", path, err)
	}
	return c, nil
}

// takeRequests returns the sources of all release requests, and removes the requests.
func (f *File) takeRequests() (sources []string) {
	root, err := os.OpenRoot(filepath.Dir(f.path))
	if err != nil {
		return nil // the state file isn't writable either, which is logged
	}
	defer root.Close()
	entries, err := os.ReadDir(filepath.Dir(f.path))
	if err != nil {
		return nil
	}
	var failed error
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), filepath.Base(f.path)+requestSuffix) {
			content, err := takeRequest(root, entry.Name())
			sources, failed = append(sources, strings.Fields(string(content))...), errors.Join(failed, err)
		}
	}
	if failed == nil {
		f.requestsFailing.End()
	} else if f.requestsFailing.Begin() {
		f.log.Error("release request not readable, ignored", "file", f.path, "error", failed)
	}
	return sources
}

// takeRequest reads and removes a request. It neither follows nor waits for special files.
func takeRequest(root *os.Root, name string) ([]byte, error) {
	content, err := readRequest(root, name)
	if err := errors.Join(err, root.Remove(name)); err != nil {
		return nil, err
	}
	return content, nil
}

func readRequest(root *os.Root, name string) ([]byte, error) {
	file, _, err := safefile.OpenIn(root, name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return safefile.ReadAll(file, maxRequest)
}
