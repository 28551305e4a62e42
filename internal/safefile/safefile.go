// Package safefile reads and replaces files in folders that other users or programs may write to. It never waits for a
// FIFO, reads no more than a limit, and replaces a file as a whole or not at all.
package safefile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

// ErrNotRegular means that a path names a directory, a symbolic link or a special file.
var ErrNotRegular = errors.New("not a regular file")

// Open opens a regular file for reading. It follows symbolic links. A FIFO is an error and doesn't block.
func Open(name string) (*os.File, fs.FileInfo, error) {
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	return regular(file, name)
}

// OpenIn opens a regular file of a root for reading. It follows no symbolic link at the end of the name.
func OpenIn(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	before, err := root.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, nil, ErrNotRegular
	}
	opened, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	file, info, err := regular(opened, name)
	if err == nil && !os.SameFile(before, info) {
		file.Close()
		return nil, nil, fmt.Errorf("%s was replaced while it was opened", name)
	}
	return file, info, err
}

func regular(file *os.File, name string) (*os.File, fs.FileInfo, error) {
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w", name, ErrNotRegular)
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// Read returns the content of a regular file and its identity. A file of more than limit bytes is an error.
func Read(name string, limit int64) ([]byte, fs.FileInfo, error) {
	file, info, err := Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	content, err := ReadAll(file, limit)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return content, info, nil
}

// ReadAll reads until EOF. More than limit bytes are an error.
func ReadAll(from io.Reader, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("larger than %d bytes", limit)
	}
	return content, err
}

// Options configure Replace.
type Options struct {
	// Mode is the mode of the new file.
	Mode fs.FileMode
	// Sync makes the new content survive a crash of the machine.
	Sync bool
}

// The name of a temporary file is a prefix, random text and a suffix.
const (
	temporaryPrefix = ".isthmus-"
	temporarySuffix = ".tmp"
)

// IsTemporary reports whether Replace creates temporary files with such a name. A crash can leave one behind.
func IsTemporary(name string) bool {
	return strings.HasPrefix(name, temporaryPrefix) && strings.HasSuffix(name, temporarySuffix)
}

// Replace replaces the content of a file, or creates it. Readers see the old or the new content, never a part. The
// temporary file has a new, random name in the same folder, so Replace overwrites and follows nothing that exists there.
func Replace(root *os.Root, name string, content []byte, options Options) error {
	folder := path.Dir(name)
	temporary := path.Join(folder, temporaryPrefix+rand.Text()+temporarySuffix)
	file, err := root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, options.Mode)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil && options.Sync {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = root.Rename(temporary, name)
	}
	if err != nil {
		_ = root.Remove(temporary) // the first error is the relevant one
		return err
	}
	if options.Sync {
		return syncFolder(root, folder)
	}
	return nil
}

// syncFolder makes a rename survive a crash of the machine.
func syncFolder(root *os.Root, folder string) error {
	opened, err := root.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}
