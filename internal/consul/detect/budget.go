package detect

import (
	"math"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// budget decides which services are watched: those that changed last.
type budget struct {
	// mu guards the fields below. It is a leaf.
	mu sync.Mutex
	// size is how many services may be watched.
	size int
	// watched has the watched services in the order of their last change.
	watched *simplelru.LRU[*Service, struct{}]
}

func newBudget() *budget {
	lru, err := simplelru.NewLRU[*Service, struct{}](math.MaxInt, nil) // trim bounds it: it needs the services that it removes
	if err != nil {
		panic(err) // only for a size of 0
	}
	return &budget{watched: lru}
}

// resize sets how many services may be watched and returns those that are no longer watched.
func (b *budget) resize(size int) []*Service {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.size = size
	return b.trim()
}

// admit watches a service if there is room.
func (b *budget) admit(s *Service) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.watched.Contains(s) && b.watched.Len() < b.size {
		b.watched.Add(s, struct{}{})
		s.promote()
	}
}

// promote watches a service that changed, and returns the services that are no longer watched for it.
func (b *budget) promote(s *Service) []*Service {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.watched.Get(s); ok || b.size == 0 {
		return nil
	}
	b.watched.Add(s, struct{}{})
	s.promote()
	return b.trim()
}

// remove forgets a service.
func (b *budget) remove(s *Service) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watched.Remove(s)
}

func (b *budget) trim() []*Service {
	var demoted []*Service
	for b.watched.Len() > b.size {
		s, _, _ := b.watched.RemoveOldest()
		s.watched.Store(false)
		demoted = append(demoted, s)
	}
	return demoted
}
