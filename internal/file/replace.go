package file

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
)

// replace writes a file as a whole or not at all.
func replace(root *os.Root, file string, content []byte) error {
	before, err := standing(root, file)
	if err != nil || bytes.Equal(before, content) {
		return err
	}
	if err := root.MkdirAll(path.Dir(file), 0o755); err != nil {
		return err
	}
	temporary := file + ".new"
	err = root.WriteFile(temporary, content, 0o644)
	if err == nil {
		err = root.Rename(temporary, file)
	}
	if err != nil {
		_ = root.Remove(temporary) // the error that counts is the first
	}
	return err
}

// remove deletes a file if it is there and ours.
func remove(root *os.Root, file string) error {
	content, err := standing(root, file)
	if errors.Is(err, errForeign) || err == nil && content == nil {
		return nil
	}
	if err != nil {
		return err
	}
	return root.Remove(file)
}

var errForeign = errors.New("it is not isthmus's")

// standing returns the content of a file of ours, nil where there is none, and errForeign where there is something
// that isthmus did not write.
func standing(root *os.Root, file string) ([]byte, error) {
	info, err := root.Lstat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errForeign
	}
	content, err := root.ReadFile(file)
	if err == nil && !bytes.HasPrefix(content, []byte(header)) {
		return nil, errForeign
	}
	return content, err
}
