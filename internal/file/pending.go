package file

import (
	"errors"
	"sync/atomic"

	"github.com/isthmus-mesh/isthmus/internal/contract"
)

var errNothingWritten = errors.New("output: the first whole content is not written yet")

// pending is the part of a bridge.Output that both ways of writing share.
type pending struct {
	contract.WorkSet
	written atomic.Bool
}

func newPending() pending { return pending{WorkSet: contract.NewWorkSet()} }

// Ready implements bridge.Output.
func (p *pending) Ready() error {
	if !p.written.Load() {
		return errNothingWritten
	}
	return nil
}

func (p *pending) done() { p.written.Store(true) }
