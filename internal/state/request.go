package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/guard"
)

const (
	// maxRequest bounds a request to release, in bytes.
	maxRequest = 1 << 12
	// requestMode lets isthmus read what another user asked for, as root does.
	requestMode = 0o644
)

// Request asks the isthmus that keeps a state file to release what it holds of a source. Who may write beside the file
// may ask. It returns what is held, and fails where nothing is.
func Request(path, source string) (string, error) {
	content, err := peek(path)
	if err != nil {
		return "", err
	}
	hold, held := content.holds[source]
	if !held {
		return "", fmt.Errorf("nothing of source %q is held, says state file %s", source, path)
	}
	if err := ask(path, source); err != nil {
		return "", fmt.Errorf("request: %w", err)
	}
	return fmt.Sprintf("%d instances, %d services", hold.Instances, hold.Services), nil
}

// ask puts a request beside the state file, as a file of its own: root asks in a folder of somebody else, and must follow
// and open nothing that stands there.
func ask(path, source string) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".asking-*")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, source)
	err = errors.Join(err, file.Chmod(requestMode), file.Close())
	if err == nil {
		_, number, _ := strings.Cut(filepath.Base(file.Name()), ".asking-")
		err = os.Rename(file.Name(), requestPath(path)+"-"+number)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// Held returns what is held of a source, says its state file; false where nothing is.
func Held(path, source string) (guard.Hold, bool, error) {
	content, err := peek(path)
	hold, held := content.holds[source]
	return hold, held, err
}

// peek reads a state file that another process writes.
func peek(path string) (content, error) {
	c := newContent()
	file, err := os.Open(path)
	if err != nil {
		return c, fmt.Errorf("state file: %w", err)
	}
	defer file.Close()
	if _, err := c.read(file); err != nil {
		return c, fmt.Errorf("state file %s: %w", path, err)
	}
	return c, nil
}

func requestPath(path string) string { return path + ".release" }

// takeRequests returns the sources that somebody asked to release, and takes the requests away.
func (f *File) takeRequests() (sources []string) {
	folder, prefix := filepath.Dir(f.path), filepath.Base(requestPath(f.path))
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil // what can't be read can't be written either, and that is told
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), prefix) {
			sources = append(sources, f.takeRequest(filepath.Join(folder, entry.Name()))...)
		}
	}
	return sources
}

func (f *File) takeRequest(path string) (sources []string) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil
	}
	var content []byte
	if info.Mode().IsRegular() && info.Size() <= maxRequest {
		content, err = os.ReadFile(path)
	}
	if err = errors.Join(err, os.Remove(path)); err != nil {
		f.log.Error("a request to release can't be taken", "file", path, "error", err)
		return nil
	}
	return strings.Fields(string(content))
}
