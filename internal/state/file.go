// Package state keeps the last known good in a file, so that it outlives the process where no Kubernetes API holds it.
//
// The file is a journal: one line for each change, behind its checksum, and once in a while the whole content anew. So
// a change costs what it changes, and not the catalog. A line that was cut off by a crash or a full disk is dropped;
// anything else that isn't as it was written makes the whole file unusable, and is said so.
package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/gofrs/flock"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

const (
	// mode lets nobody else read what isthmus knows, nor write what it will believe.
	mode = 0o600
	// largest bounds the file, in bytes. 10,000 services of 10 instances take some 50 MB.
	largest = 1 << 30
	// retryAfter is how long a write that failed waits for the next one.
	retryAfter = 5 * time.Second
	// gather is how long changes are gathered before they are written.
	gather = 100 * time.Millisecond
)

// File is the bridge.Memory of runs without Kubernetes. Make one with Open.
type File struct {
	path string
	log  *slog.Logger
	// wake rings when there is something to write.
	wake contract.Signal
	lock *flock.Flock

	mu      sync.Mutex
	content content
	// unwritten are the records that the file doesn't hold yet.
	unwritten []record

	// broken says that the file must be written as a whole, failing that the last try failed.
	broken, failing bool
	// size is that of the file, base what it was when it was last written as a whole, maxSize what it may be.
	size, base, maxSize int64
	// leftOut are the services that the file had no room for, and what they would have taken.
	leftOut map[catalog.Key]int
}

// Open reads a state file and takes it for this process. A file that isn't there is an empty one. It fails where the
// file can't be trusted: what it says would be served.
func Open(path string, log *slog.Logger) (*File, error) {
	f := &File{path: path, log: log, wake: contract.NewSignal(), content: newContent(), maxSize: largest}
	err := f.acquire()
	if err == nil {
		if err = f.read(); err != nil {
			f.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("state file %s: %w", path, err)
	}
	return f, nil
}

// acquire keeps other processes from the file.
func (f *File) acquire() error {
	folder := filepath.Dir(f.path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(folder)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("everybody may write to its folder, and so decide what isthmus believes: choose another folder, or run chmod o-w %s", folder)
	}
	f.lock = flock.New(f.path+".lock", flock.SetPermissions(mode))
	taken, err := f.lock.TryLock()
	if err == nil && !taken {
		err = errors.New("another isthmus uses it: give each its own")
	}
	return err
}

// Close gives the file back to other processes.
func (f *File) Close() { _ = f.lock.Close() } // the lock goes with the process at the latest

// read fills the content from the file.
func (f *File) read() error {
	file, err := os.Open(f.path)
	if errors.Is(err, os.ErrNotExist) {
		f.broken = true
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("it is no regular file")
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("its mode is %04o: others may read or write it; run chmod 600 on it, if you trust what it holds", info.Mode().Perm())
	case info.Size() > f.maxSize:
		return fmt.Errorf("it has %d bytes, more than %d: remove it, and isthmus starts without a last known good", info.Size(), f.maxSize)
	}
	whole, err := f.content.read(file)
	if err != nil {
		return fmt.Errorf("%w; remove it, and isthmus starts without a last known good", err)
	}
	f.size, f.base = info.Size(), info.Size()
	f.broken = !whole
	if !whole {
		f.log.Warn("the end of the state file was cut off, as by a crash or a full disk; what stands before it holds", "file", f.path)
	}
	return nil
}

// Load implements bridge.Memory.
func (f *File) Load(context.Context) (contract.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.content.recollection(), nil
}

// Remember implements bridge.Memory.
func (f *File) Save(change contract.Change) {
	records := recordsOf(change, time.Now())
	f.mu.Lock()
	for _, r := range records {
		f.content.apply(r)
	}
	f.unwritten = append(f.unwritten, records...)
	f.mu.Unlock()
	f.wake.Notify()
}

// Run implements bridge.Memory.
func (f *File) Run(ctx context.Context, listener contract.Feedback) error {
	defer f.Close()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			f.flush()
			return nil
		case <-look.C:
			for _, source := range f.takeRequests() {
				listener.Release(source)
			}
		case <-f.wake:
			pause := gather
			if !f.flush() {
				pause = retryAfter
				f.wake.Notify()
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
}
