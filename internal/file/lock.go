package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/isthmus-mesh/isthmus/internal/safefile"
)

// lockName is the file that the owner of an output folder locks.
const lockName = ".isthmus.lock"

// errOwned means that another process owns the folder.
var errOwned = errors.New("another isthmus writes to it; give each its own folder")

// folderLock is the ownership of an output folder. The kernel releases it when the process ends.
type folderLock struct {
	file *os.File
	info fs.FileInfo
}

// acquire takes the lock of the folder, unless this process has it. The path of the folder may lead to another folder
// than before; then the lock of the earlier one is released.
func (l *folderLock) acquire(root *os.Root) error {
	current, err := root.Lstat(lockName)
	switch {
	case err == nil && l.file != nil && os.SameFile(current, l.info):
		return nil
	case err == nil && !current.Mode().IsRegular():
		return fmt.Errorf("%s: %w; remove it", lockName, safefile.ErrNotRegular)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	l.release()
	file, err := root.OpenFile(lockName, os.O_RDWR|os.O_CREATE|syscall.O_NONBLOCK, 0o644)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errOwned
	}
	if err != nil {
		file.Close()
		return err
	}
	l.file, l.info = file, info
	return nil
}

func (l *folderLock) release() {
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
}
