package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/bridge"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// header is the first line of every file of ours. A file without it is somebody else's and is never touched.
const header = "# Written by isthmus. Changes are overwritten.\n"

// Folder keeps one file for each service in a folder, NAMESPACE/NAME.yaml. A file is replaced as a whole and only
// when its content changes. Make one with NewFolder.
type Folder struct {
	pending
	root string
	log  *slog.Logger
}

// NewFolder makes an output that writes to a folder, which it creates where it isn't there.
func NewFolder(root string, log *slog.Logger) (*Folder, error) {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, fmt.Errorf("output folder: %w", err)
	}
	return &Folder{pending: newPending(), root: root, log: log}, nil
}

// Run implements bridge.Output. It fails when the folder can't be written.
func (f *Folder) Run(ctx context.Context, state bridge.State) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.wake:
		}
		if !state.Complete() {
			continue
		}
		for _, name := range f.take() {
			if err := f.write(name, state); err != nil {
				return err
			}
		}
		if f.Ready() != nil {
			if err := f.sweep(state); err != nil {
				return err
			}
			f.done()
		}
	}
}

func (f *Folder) write(name mesh.Name, state bridge.State) error {
	desired := state.Desired(name)
	if len(desired.Objects) == 0 {
		return f.removeAll(name)
	}
	body, err := documents(desired.Objects)
	if err != nil {
		return err
	}
	path := f.path(desired.Objects[0].Namespace, name)
	if err := f.replace(path, append([]byte(header), body...)); err != nil {
		return err
	}
	state.Written(name, desired.Revision)
	return nil
}

func (f *Folder) path(namespace string, name mesh.Name) string {
	return filepath.Join(f.root, namespace, name.ServiceEntry()+".yaml")
}

// replace writes a file as a whole or not at all.
func (f *Folder) replace(path string, content []byte) error {
	standing, err := os.ReadFile(path)
	switch {
	case err == nil && bytes.Equal(standing, content):
		return nil
	case err == nil && !bytes.HasPrefix(standing, []byte(header)):
		f.log.Error("file is not ours and stays as it is: its first line is not isthmus's; move it away", "file", path)
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("output folder: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o644); err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	return nil
}

// sweep removes the files of services that left while isthmus was away.
func (f *Folder) sweep(state bridge.State) error {
	files, err := f.files("*")
	if err != nil {
		return err
	}
	for _, path := range files {
		name, ok := mesh.ParseObjectName(mesh.ServiceEntryKind, strings.TrimSuffix(filepath.Base(path), ".yaml"))
		if !ok {
			continue
		}
		desired := state.Desired(name)
		placed := len(desired.Objects) > 0 && path == f.path(desired.Objects[0].Namespace, name)
		if desired.Known && !placed {
			if err := f.remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *Folder) removeAll(name mesh.Name) error {
	files, err := f.files(name.ServiceEntry())
	if err != nil {
		return err
	}
	for _, path := range files {
		if err := f.remove(path); err != nil {
			return err
		}
	}
	return nil
}

func (f *Folder) files(stem string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(f.root, "*", stem+".yaml"))
	if err != nil {
		return nil, fmt.Errorf("output folder: %w", err)
	}
	return files, nil
}

// remove deletes a file if it is ours.
func (f *Folder) remove(path string) error {
	content, err := os.ReadFile(path)
	if err == nil && bytes.HasPrefix(content, []byte(header)) {
		err = os.Remove(path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("output folder: %w", err)
	}
	return nil
}
