package file

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Stream writes all objects once all sources are complete, and then one document for each object that changes. Create
// one with NewStream.
type Stream struct {
	progress
	to io.Writer
	// shown are the objects in the stream, by service.
	shown map[mesh.Name][]mesh.Object
}

// NewStream creates an output that writes to a stream.
func NewStream(to io.Writer) *Stream {
	return &Stream{progress: newProgress(), to: to, shown: map[mesh.Name][]mesh.Object{}}
}

// Run implements contract.Output. A write error ends it.
func (s *Stream) Run(ctx context.Context, state contract.State) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.Wake:
		}
		if !state.Complete() {
			continue
		}
		for _, name := range s.Drain() {
			if err := s.show(name, state); err != nil {
				return err
			}
		}
		s.setReady()
	}
}

// show writes the objects of a service that changed since the last call.
func (s *Stream) show(name mesh.Name, state contract.State) error {
	desired := state.Desired(name)
	before := s.shown[name]
	var out bytes.Buffer
	for _, object := range desired.Objects {
		if slices.ContainsFunc(before, object.Equal) {
			continue
		}
		doc, err := document(object)
		if err != nil {
			return err
		}
		out.Write(doc)
	}
	for _, object := range before {
		if !slices.ContainsFunc(desired.Objects, object.SameAs) {
			out.Write(removal(object))
		}
	}
	if out.Len() > 0 {
		if _, err := s.to.Write(out.Bytes()); err != nil {
			return fmt.Errorf("write to the stream: %w", err)
		}
	}
	if s.shown[name] = desired.Objects; len(desired.Objects) == 0 {
		delete(s.shown, name)
	}
	state.Written(name, desired.Revision)
	return nil
}
