package consul

import (
	"context"

	"golang.org/x/sync/semaphore"

	"github.com/isthmus-mesh/isthmus/internal/consul/client"
)

const (
	// smallDecodings is the largest number of small responses that are decoded at the same time.
	smallDecodings = 64
	// smallBytes is the memory that decoding a small response may need.
	smallBytes = 1 << 20
)

// decoding bounds the memory for the responses that are decoded at the same time: thousands of polls can return together,
// and a few large responses must not add up.
type decoding struct {
	small, large *semaphore.Weighted
}

func newDecoding(large int) decoding {
	return decoding{small: semaphore.NewWeighted(smallDecodings), large: semaphore.NewWeighted(int64(large))}
}

// slot is the right to decode one response.
type slot struct {
	of   decoding
	held *semaphore.Weighted
}

// begin waits for the right to decode a small response.
func (d decoding) begin(ctx context.Context) (*slot, error) {
	s := &slot{of: d}
	return s, s.acquire(ctx, d.small)
}

// use waits for the right to decode a large response once so many bytes are needed. The right for a small one is given back
// before, so that large responses never delay small ones.
func (s *slot) use(ctx context.Context, bytes int64) error {
	if bytes <= smallBytes || s.held == s.of.large {
		return nil
	}
	s.end()
	return s.acquire(ctx, s.of.large)
}

func (s *slot) acquire(ctx context.Context, from *semaphore.Weighted) error {
	err := client.WithoutTimeout(ctx, func() error { return from.Acquire(ctx, 1) })
	if err == nil {
		s.held = from
	}
	return err
}

// end gives the right back.
func (s *slot) end() {
	if s.held != nil {
		s.held.Release(1)
		s.held = nil
	}
}
