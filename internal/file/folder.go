package file

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/logonce"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

const extension = ".yaml"

// Log messages of Folder.
const (
	MsgFolderFailing   = "output folder not writable, retrying"
	MsgFolderRecovered = "output folder writable again"
	MsgServiceRefused  = "file not written by isthmus is in the place of a service, service not written"
)

// Folder keeps one file for each service in a folder, NAMESPACE/NAME.yaml. It replaces a file as a whole, and only if the
// content changes. One process owns the folder. Create one with NewFolder.
type Folder struct {
	progress
	path    string
	log     *slog.Logger
	lock    folderLock
	failing logonce.Condition
	// placed are the written files, by service.
	placed map[mesh.Name]string
	// refused are the services whose file can't be written because a foreign file is in its place.
	refused map[mesh.Name]bool
}

// retryAfter is the time between two attempts to write failed files.
var retryAfter = 2 * time.Second

// refusedFactor is how much longer refused services wait for the next attempt.
const refusedFactor = 15

// NewFolder creates an output that writes to a folder. It creates the folder if it doesn't exist, and locks it.
func NewFolder(name string, log *slog.Logger) (*Folder, error) {
	f := &Folder{progress: newProgress(), path: name, log: log, placed: map[mesh.Name]string{}, refused: map[mesh.Name]bool{}}
	if err := os.MkdirAll(name, 0o755); err != nil {
		return nil, fmt.Errorf("output folder: %w", err)
	}
	root, err := f.open()
	if err != nil {
		return nil, fmt.Errorf("output folder %s: %w", name, err)
	}
	return f, root.Close()
}

// open opens the folder and takes its lock. The result gives access to no path outside of the folder.
func (f *Folder) open() (*os.Root, error) {
	root, err := os.OpenRoot(f.path)
	if err != nil {
		return nil, err
	}
	if err := f.lock.acquire(root); err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}

// Run implements contract.Output. It returns an error if the folder isn't writable before the output is ready. Later, it
// writes the files that it can, and retries the others.
func (f *Folder) Run(ctx context.Context, state contract.State) error {
	defer f.lock.release()
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.Wake:
		case <-retry:
			for name := range f.refused {
				f.Add(name)
			}
		}
		err := f.sync(state)
		retry = nil
		switch {
		case err != nil && f.Ready() != nil:
			return fmt.Errorf("output folder %s: %w", f.path, err)
		case err != nil:
			retry = time.After(retryAfter)
			if f.failing.Begin() {
				f.log.Error(MsgFolderFailing, "file", f.path, "error", err)
			}
			continue
		case f.failing.End():
			f.log.Info(MsgFolderRecovered, "file", f.path)
		}
		if len(f.refused) > 0 {
			retry = time.After(refusedFactor * retryAfter)
		}
	}
}

// sync writes the services of the work set, and returns the first error. It opens the folder each time, because a
// symbolic link in its path may lead to another folder than before.
func (f *Folder) sync(state contract.State) error {
	root, err := f.open()
	if err != nil {
		return err
	}
	defer root.Close()
	var first error
	for _, name := range f.Drain() {
		err := f.write(root, name, state)
		if f.refuse(name, state, err); errors.Is(err, errForeign) {
			continue
		}
		if err != nil {
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
	f.setReady()
	return nil
}

// refuse records whether a service is refused, and logs it once.
func (f *Folder) refuse(name mesh.Name, state contract.State, err error) {
	if !errors.Is(err, errForeign) {
		delete(f.refused, name)
		return
	}
	if !f.refused[name] {
		f.refused[name] = true
		f.log.Error(MsgServiceRefused, "service", name.String(), "file", path.Join(f.path, fileOf(state.Desired(name), name)),
			"error", err, "hint", "move the file away")
	}
}

// write brings the file of one service up to date.
func (f *Folder) write(root *os.Root, name mesh.Name, state contract.State) error {
	desired := state.Desired(name)
	switch {
	case !desired.Authoritative:
		return nil // the source isn't complete, so a missing service may still exist
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
		// A pending source may have more instances of the service, so the file must not become shorter.
		if _, exists, err := compare(root, file, nil); err == nil && exists {
			return nil
		}
	}
	if err := replace(root, file, append([]byte(header), body...)); err != nil {
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

// fileOf returns the path of the file of a service, relative to the folder.
func fileOf(desired contract.Desired, name mesh.Name) string {
	namespace := ""
	if len(desired.Objects) > 0 {
		namespace = desired.Objects[0].Namespace
	}
	return path.Join(namespace, name.ServiceEntry()+extension)
}
