package file

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/safefile"
)

// sweep removes the files of services that are gone, and temporary files that a crash left behind. It runs once, after
// the initial write.
func sweep(root *os.Root, state contract.State) error {
	return eachNamespace(root, func(namespace string) error {
		files, err := fs.ReadDir(root.FS(), namespace)
		if err != nil {
			return err
		}
		for _, file := range files {
			name := path.Join(namespace, file.Name())
			if safefile.IsTemporary(file.Name()) || obsolete(name, state) {
				if err := remove(root, name); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// obsolete reports whether a file has the name of a file of isthmus, and no service needs it.
func obsolete(file string, state contract.State) bool {
	base, isYAML := strings.CutSuffix(path.Base(file), extension)
	name, ok := mesh.ParseObjectName(mesh.ServiceEntryKind, base)
	if !isYAML || !ok {
		return false
	}
	desired := state.Desired(name)
	needed := len(desired.Objects) > 0 && file == fileOf(desired, name)
	return desired.Authoritative && !needed
}

// removeAll removes the files of a service in all namespaces.
func removeAll(root *os.Root, name mesh.Name) error {
	return eachNamespace(root, func(namespace string) error {
		return remove(root, path.Join(namespace, name.ServiceEntry()+extension))
	})
}

// eachNamespace calls do for each folder of a namespace, until an error. It follows no symbolic links.
func eachNamespace(root *os.Root, do func(namespace string) error) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		if err := do(entry.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
