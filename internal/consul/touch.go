package consul

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// regain is how long after Consul is back its services' own queries may still be in trouble: then the trouble is theirs.
const regain = 30 * time.Second

// cutOff are the troubles that say that what is known may be old.
var cutOff = []reason{unreachable, hung, serverError, denied, limited, unexpected, anonymous, outdated, indexOne}

// Connected returns nil where what was reported is what Consul says: no query is cut off from it, and it answers now. A
// service whose query alone stays in trouble doesn't count.
func (s *Source) Connected(ctx context.Context) error {
	err := s.answers(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		s.touched = time.Time{}
		return err
	case s.touched.IsZero():
		s.touched = time.Now()
	}
	if r := s.troubles.any(cutOff); r != none && time.Since(s.touched) < regain {
		return fmt.Errorf("queries are in trouble: %s", r)
	}
	return nil
}

// answers asks Consul for as little as can be: what it answers, its leader has confirmed.
func (s *Source) answers(ctx context.Context) error {
	reads, err := s.opened(ctx)
	if err != nil {
		return err
	}
	lane, err := reads.acquire(ctx)
	if err != nil {
		return err
	}
	defer func() { reads.release(lane, err != nil) }()
	_, meta, err := s.client.Health().Service(own, nobodysTag, false, s.options(0, 0).WithContext(lane.bind(ctx)))
	switch {
	case err != nil:
		return errors.New(s.troubles.clean(err))
	case meta.LastIndex <= 1:
		return fmt.Errorf("an answer can't be true: %s", indexOne)
	}
	return nil
}

// opened returns the connections for reads once the list of services was read, which at a start takes a moment. It fails
// where the list is in trouble.
func (s *Source) opened(ctx context.Context) (*pool, error) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		s.mu.Lock()
		list, reads := s.list, s.reads
		s.mu.Unlock()
		if list != nil {
			if r := s.troubles.reasonOf(list.holder); slices.Contains(cutOff, r) {
				return nil, fmt.Errorf("the list of services is in trouble: %s", r)
			}
		}
		if reads != nil {
			return reads, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.New("nothing was read yet")
		case <-ticker.C:
		}
	}
}
