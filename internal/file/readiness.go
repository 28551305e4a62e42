package file

import (
	"errors"
	"sync/atomic"

	"github.com/isthmus-mesh/isthmus/internal/contract"
)

var errNothingWritten = errors.New("output: initial content not written yet")

// progress is the part of a contract.Output that Folder and Stream share.
type progress struct {
	contract.WorkSet
	written atomic.Bool
}

func newProgress() progress { return progress{WorkSet: contract.NewWorkSet()} }

// Ready implements contract.Output.
func (p *progress) Ready() error {
	if !p.written.Load() {
		return errNothingWritten
	}
	return nil
}

func (p *progress) setReady() { p.written.Store(true) }
