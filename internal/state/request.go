package state

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// maxRequest bounds a request to release, in bytes.
const maxRequest = 1 << 12

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
	file, err := os.OpenFile(requestPath(path), os.O_WRONLY|os.O_CREATE|os.O_APPEND, mode)
	if err != nil {
		return "", fmt.Errorf("request: %w", err)
	}
	_, err = fmt.Fprintln(file, source)
	if err = errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("request: %w", err)
	}
	return fmt.Sprintf("%d instances, %d services", hold.Instances, hold.Services), nil
}

// Released tells whether a source has nothing held any more.
func Released(path, source string) (bool, error) {
	content, err := peek(path)
	if err != nil {
		return false, err
	}
	_, held := content.holds[source]
	return !held, nil
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

// takeRequests returns the sources that somebody asked to release, and takes the request away.
func (f *File) takeRequests() []string {
	path := requestPath(f.path)
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
