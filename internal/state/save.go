package state

import (
	"errors"
	"os"
	"path/filepath"
)

// save brings the file up to date. It returns false where that failed: then the file holds what it held before, and is
// written as a whole the next time.
func (f *File) flush() bool {
	f.mu.Lock()
	records := f.unwritten
	f.unwritten = nil
	f.mu.Unlock()
	if len(records) == 0 && !f.broken {
		return true
	}
	err := f.write(records)
	switch {
	case err != nil && !f.failing:
		f.log.Error("the state file can't be written: a restart would serve what it held before; tried again until it can",
			"file", f.path, "error", err)
	case err == nil && f.failing:
		f.log.Info("the state file can be written again", "file", f.path)
	}
	f.broken, f.failing = err != nil, err != nil
	return err == nil
}

// write adds records to the file, or writes it as a whole: where it must be, where it is much longer than it need be, and
// where the next start wouldn't take it otherwise.
func (f *File) write(records []record) error {
	if !f.broken && f.size <= 2*f.base+1<<20 {
		lines, whole, err := f.addition(records)
		if err != nil {
			return err
		}
		if !whole && f.size+int64(len(lines)) <= f.maxSize {
			return f.add(lines)
		}
	}
	f.mu.Lock()
	records = f.content.records()
	f.mu.Unlock()
	lines, err := f.fit(records)
	if err != nil {
		return err
	}
	return f.rewrite(lines)
}

// add appends lines.
func (f *File) add(lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(lines)
	f.size += int64(len(lines))
	return errors.Join(err, file.Sync(), file.Close())
}

// rewrite replaces the file's content: as a whole or not at all.
func (f *File) rewrite(lines []byte) error {
	temporary := f.path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(lines)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(temporary, f.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	f.size, f.base = int64(len(lines)), int64(len(lines))
	return syncFolder(filepath.Dir(f.path))
}

// syncFolder makes a rename outlive a crash of the machine.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
