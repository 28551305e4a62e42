package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/isthmus-mesh/isthmus/internal/safefile"
)

// header is the first line of every file that isthmus writes. isthmus never changes a file without it.
const header = "# Written by isthmus. Changes are overwritten.\n"

// errForeign means that isthmus didn't write the file, folder, link or special file in the place of its own.
var errForeign = errors.New("not written by isthmus")

// replace writes a file of isthmus, unless it has the content already.
func replace(root *os.Root, name string, content []byte) error {
	same, _, err := compare(root, name, content)
	if err != nil || same {
		return err
	}
	if err := makeFolder(root, path.Dir(name)); err != nil {
		return err
	}
	return safefile.Replace(root, name, content, safefile.Options{Mode: 0o644})
}

// makeFolder creates the folder of a namespace. A link in its place is foreign, wherever it leads.
func makeFolder(root *os.Root, name string) error {
	info, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return root.Mkdir(name, 0o755)
	case err == nil && !info.IsDir():
		return fmt.Errorf("folder %s: %w", name, errForeign)
	}
	return err
}

// remove deletes a file of isthmus. It keeps foreign files.
func remove(root *os.Root, name string) error {
	_, exists, err := compare(root, name, nil)
	if errors.Is(err, errForeign) || err == nil && !exists {
		return nil
	}
	if err != nil {
		return err
	}
	return root.Remove(name)
}

// compare reports whether a file of isthmus exists, and whether it has the content. It reads no more than that content.
// A foreign file is errForeign.
func compare(root *os.Root, name string, content []byte) (same, exists bool, err error) {
	if info, err := root.Lstat(path.Dir(name)); err == nil && !info.IsDir() {
		return false, false, fmt.Errorf("folder %s: %w", path.Dir(name), errForeign)
	}
	file, info, err := safefile.OpenIn(root, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, false, nil
	case errors.Is(err, safefile.ErrNotRegular):
		return false, false, errForeign
	case errors.Is(err, fs.ErrPermission):
		return false, false, fmt.Errorf("%w: %w", errForeign, err)
	case err != nil:
		return false, false, err
	}
	defer file.Close()
	start := make([]byte, len(header))
	if _, err := io.ReadFull(file, start); err != nil || string(start) != header {
		return false, false, errForeign
	}
	if info.Size() != int64(len(content)) {
		return false, true, nil
	}
	rest, err := safefile.ReadAll(file, int64(len(content)-len(header)))
	return err == nil && bytes.Equal(rest, content[len(header):]), true, err
}
