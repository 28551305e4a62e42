package file

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"strings"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

const (
	// header is the first line of every file of ours. What doesn't begin so is somebody else's and is never
	// touched.
	header    = "# Written by isthmus. Changes are overwritten.\n"
	extension = ".yaml"
)

// Folder keeps one file for each service in a folder, NAMESPACE/NAME.yaml. A file is replaced as a whole and only
// when its content changes. Make one with NewFolder.
type Folder struct {
	pending
	root string
	log  *slog.Logger
	// placed are the files that were written, by service.
	placed map[mesh.Name]string
}

// NewFolder makes an output that writes to a folder, which it creates where it isn't there.
func NewFolder(root string, log *slog.Logger) (*Folder, error) {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, fmt.Errorf("output folder: %w", err)
	}
	return &Folder{pending: newPending(), root: root, log: log, placed: map[mesh.Name]string{}}, nil
}

// Run implements bridge.Output. It fails when the folder can't be written from the start on; later it goes on with what can
// be written, and tries the rest again.
func (f *Folder) Run(ctx context.Context, state contract.State) error {
	var retry <-chan time.Time
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.Wake:
		case <-retry:
		}
		err := f.catchUp(state)
		switch {
		case err != nil && f.Ready() != nil:
			return fmt.Errorf("output folder %s: %w", f.root, err)
		case err != nil && !failing:
			f.log.Error("the output folder can't be written; tried again until it can", "folder", f.root, "error", err)
		case err == nil && failing:
			f.log.Info("the output folder can be written again", "folder", f.root)
		}
		if failing = err != nil; failing {
			retry = time.After(retryAfter)
		}
	}
}

// retryAfter is how long what could not be written waits for the next try.
var retryAfter = 2 * time.Second

// catchUp writes what waits, as far as that goes, and returns the first error. It opens the folder each time: where the
// folder is a link, it may lead elsewhere by now. No path leads out of an opened folder, whatever names and links it is
// made of.
func (f *Folder) catchUp(state contract.State) error {
	root, err := os.OpenRoot(f.root)
	if err != nil {
		return err
	}
	defer root.Close()
	var first error
	for _, name := range f.Drain() {
		if err := f.write(root, name, state); err != nil {
			f.Add(name)
			first = cmp.Or(first, err)
		}
	}
	if first != nil || f.Ready() == nil || !state.Complete() {
		return first
	}
	if err := sweep(root, state); err != nil {
		return err
	}
	f.done()
	return nil
}

func (f *Folder) write(root *os.Root, name mesh.Name, state contract.State) error {
	desired := state.Desired(name)
	switch {
	case !desired.Authoritative:
		return nil // its source has not reported everything: what it left out so far is not gone
	case len(desired.Objects) == 0:
		delete(f.placed, name)
		return removeAll(root, name)
	}
	body, err := documents(desired.Objects)
	if err != nil {
		return err
	}
	file := fileOf(desired, name)
	if len(desired.PendingSources) > 0 {
		// A source may still have instances of the service: its file isn't made shorter before.
		if before, err := standing(root, file); err == nil && before != nil {
			return nil
		}
	}
	switch err := replace(root, file, append([]byte(header), body...)); {
	case errors.Is(err, errForeign):
		f.log.Error("a file is not isthmus's and stays as it is: move it away and start isthmus again",
			"file", file, "folder", f.root)
		return nil
	case err != nil:
		return err
	}
	before := f.placed[name]
	f.placed[name] = file
	if before != "" && before != file { // the service moved to another namespace
		if err := remove(root, before); err != nil {
			return err
		}
	}
	state.Written(name, desired.Revision)
	return nil
}

func fileOf(desired contract.Desired, name mesh.Name) string {
	return path.Join(desired.Objects[0].Namespace, name.ServiceEntry()+extension)
}

// sweep removes the files of services that left while isthmus was away.
func sweep(root *os.Root, state contract.State) error {
	files, err := fs.Glob(root.FS(), "*/*"+extension)
	if err != nil {
		return err
	}
	for _, file := range files {
		name, ok := mesh.ParseObjectName(mesh.ServiceEntryKind, strings.TrimSuffix(path.Base(file), extension))
		if !ok {
			continue
		}
		desired := state.Desired(name)
		placed := len(desired.Objects) > 0 && file == fileOf(desired, name)
		if !desired.Authoritative || placed {
			continue
		}
		if err := remove(root, file); err != nil {
			return err
		}
	}
	return nil
}

// removeAll deletes a service's file, whichever namespace it was placed in.
func removeAll(root *os.Root, name mesh.Name) error {
	namespaces, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	for _, namespace := range namespaces {
		if !namespace.IsDir() {
			continue
		}
		if err := remove(root, path.Join(namespace.Name(), name.ServiceEntry()+extension)); err != nil {
			return err
		}
	}
	return nil
}
