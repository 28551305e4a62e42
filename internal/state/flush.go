package state

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/isthmus-mesh/isthmus/internal/safefile"
)

// flush writes the changes to the file. It returns false if that fails. Then the file keeps its earlier content, and the
// next call writes it completely.
func (f *File) flush() bool {
	f.mu.Lock()
	records := f.unwritten
	f.unwritten = nil
	f.mu.Unlock()
	if len(records) == 0 && !f.rewriteNeeded {
		return true
	}
	err := f.write(records)
	switch {
	case err != nil && f.failing.Begin():
		f.log.Error(MsgWriteFailing, "file", f.path, "error", err)
	case err == nil && f.failing.End():
		f.log.Info(MsgWriteRecovers, "file", f.path)
	}
	f.rewriteNeeded = err != nil
	return err == nil
}

// write appends records to the file, or rewrites it: after a failure, if it is much longer than necessary, and if it would
// exceed the size that a start accepts.
func (f *File) write(records []record) error {
	if !f.rewriteNeeded && f.size <= 2*f.compactSize+1<<20 {
		bodies, fits, err := f.additions(records)
		if err != nil {
			return err
		}
		lines, chain := seal(f.chain, bodies)
		if fits && f.size+int64(len(lines)) <= f.maxSize {
			return f.add(lines, chain)
		}
	}
	f.mu.Lock()
	records = f.content.records()
	f.mu.Unlock()
	bodies, err := f.fit(records)
	if err != nil {
		return err
	}
	return f.rewrite(seal(0, bodies))
}

// add appends lines. chain is the checksum of the last one.
func (f *File) add(lines []byte, chain uint32) error {
	if len(lines) == 0 {
		return nil
	}
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|syscall.O_NONBLOCK, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(lines)
	f.size += int64(len(lines))
	f.chain = chain
	return errors.Join(err, file.Sync(), file.Close())
}

// rewrite replaces the content of the file, completely or not at all.
func (f *File) rewrite(lines []byte, chain uint32) error {
	root, err := os.OpenRoot(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	defer root.Close()
	if err := safefile.Replace(root, filepath.Base(f.path), lines, safefile.Options{Mode: mode, Sync: true}); err != nil {
		return err
	}
	f.size, f.compactSize, f.chain = int64(len(lines)), int64(len(lines)), chain
	return nil
}
