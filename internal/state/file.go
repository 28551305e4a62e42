// Package state keeps the last known good state in a file, for outputs other than Kubernetes.
//
// The file is a journal: one line for each change, and from time to time the complete content again. So the cost of a
// change depends on the change, not on the catalog. Each line starts with a checksum over all lines up to it, so a missing
// or moved line is detected. The reader drops a last line that a crash or a full disk cut off. It rejects any other
// damage, because the content of the file would be served.
package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/wait"

	"github.com/gofrs/flock"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/logonce"
	"github.com/isthmus-mesh/isthmus/internal/safefile"
)

const (
	// mode gives access to the user of isthmus only: other users must not change the content that isthmus serves.
	mode = 0o600
	// maxSize limits the size of the file, in bytes. 10,000 services with 10 instances each take about 50 MB.
	maxSize = 1 << 30
	// retryAfter is the time between two attempts to write the file.
	retryAfter = 5 * time.Second
	// batchWindow is the time during which changes are collected before they are written.
	batchWindow = 100 * time.Millisecond
	// pollInterval is the time between two checks for release requests.
	pollInterval = time.Second
)

// Log messages of File.
const (
	MsgTruncated     = "state file was cut off, using the part before the cut"
	MsgWriteFailing  = "state file not writable, retrying"
	MsgWriteRecovers = "state file writable again"
	MsgTooLarge      = "state file too small for the catalog, largest services left out"
	MsgFits          = "state file contains all services again"
)

// File implements contract.Store. Create one with Open.
type File struct {
	path string
	log  *slog.Logger
	// wake signals that there are changes to write.
	wake wait.Signal
	lock *flock.Flock

	// mu guards content and unwritten. It is a leaf: no other lock is taken while it is held.
	mu      sync.Mutex
	content content
	// unwritten are the records that are not in the file yet.
	unwritten []record

	// The following fields belong to the goroutine that calls flush.

	// rewriteNeeded means that the next write replaces the complete file.
	rewriteNeeded bool
	// failing is the condition that the file is not writable.
	failing logonce.Condition
	// requestsFailing is the condition that a release request can't be read or removed.
	requestsFailing logonce.Condition
	// size is the size of the file.
	size int64
	// compactSize is the size of the file after the last complete write.
	compactSize int64
	// maxSize is the limit of size.
	maxSize int64
	// chain is the checksum of the last line.
	chain uint32
	// leftOut are the services for which the file has no space, with the size of their records.
	leftOut map[catalog.Key]int
}

// Open reads a state file and locks it for this process. A missing file is an empty one. A damaged file, or a file that
// other users can write, is an error, because isthmus would serve its content.
func Open(path string, log *slog.Logger) (*File, error) {
	f := &File{path: path, log: log, wake: wait.NewSignal(), content: newContent(), maxSize: maxSize}
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

// acquire locks the file.
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
		return fmt.Errorf("directory is world-writable: run chmod o-w %s, or choose another directory", folder)
	}
	f.lock = flock.New(f.path+".lock", flock.SetPermissions(mode), flock.SetFlag(os.O_CREATE|os.O_RDONLY|syscall.O_NONBLOCK))
	acquired, err := f.lock.TryLock()
	if err == nil && !acquired {
		err = errors.New("another isthmus uses it; give each its own state file")
	}
	return err
}

// Close releases the lock.
func (f *File) Close() { _ = f.lock.Close() } // the kernel releases it at the end of the process at the latest

// read reads the content of the file.
func (f *File) read() error {
	file, info, err := safefile.Open(f.path)
	if errors.Is(err, os.ErrNotExist) {
		f.rewriteNeeded = true
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	switch {
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("mode %04o gives access to other users; run chmod 600 on it if you trust its content", info.Mode().Perm())
	case info.Size() > f.maxSize:
		return fmt.Errorf("%d bytes, at most %d are allowed; remove it to start without a last known good state", info.Size(), f.maxSize)
	}
	journal, err := f.content.read(io.LimitReader(file, info.Size()))
	if err != nil {
		return fmt.Errorf("%w; remove it to start without a last known good state", err)
	}
	f.size, f.compactSize, f.chain = info.Size(), info.Size(), journal.chain
	f.rewriteNeeded = !journal.complete || journal.version != version
	if !journal.complete {
		f.log.Warn(MsgTruncated, "file", f.path)
	}
	return nil
}

// Load implements contract.Store.
func (f *File) Load(context.Context) (contract.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.content.snapshot(), nil
}

// Save implements contract.Store.
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

// Run implements contract.Store.
func (f *File) Run(ctx context.Context, feedback contract.Feedback) error {
	defer f.Close()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			f.flush()
			return nil
		case <-poll.C:
			for _, source := range f.takeRequests() {
				feedback.Release(source)
			}
		case <-f.wake:
			pause := batchWindow
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
