package engine

import (
	"sync"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// inbox holds the newest unread report of each service. It is the catalog.Sink of all sources.
type inbox struct {
	// wake rings when there is something to read.
	wake contract.Signal

	mu     sync.Mutex
	unread letters
}

// letters are reports that came since the last look.
type letters struct {
	updates map[catalog.Key]update
	// synced are the sources that have reported, and whether they were shown everything.
	synced map[string]bool
	// released are sources whose held removals somebody lets go.
	released []string
	// takeover is what stands where this replica begins to write; nil where it doesn't. trusted are sources that are in touch
	// with their registries again.
	takeover *takeover
	trusted  []string
	// rules are new ones; nil where they stay.
	rules *Rules
	news  contract.Conflicts
	// read is closed once the news is taken; nil where there is none.
	read chan struct{}
}

type update struct {
	service catalog.Service
	// observed is when the first of the reports came that this one stands for.
	observed time.Time
}

func newInbox() inbox {
	return inbox{wake: contract.NewSignal(), unread: letters{updates: map[catalog.Key]update{}}}
}

// Update implements catalog.Sink.
func (i *inbox) Update(service catalog.Service, observed time.Time) {
	i.mu.Lock()
	if earlier, ok := i.unread.updates[service.Key]; ok {
		service, observed = service.Merge(earlier.service), earlier.observed
	}
	i.unread.updates[service.Key] = update{service: service, observed: observed}
	i.mu.Unlock()
	i.wake.Notify()
}

// Synced implements catalog.Sink.
func (i *inbox) Synced(source string, whole bool) {
	i.mu.Lock()
	if i.unread.synced == nil {
		i.unread.synced = map[string]bool{}
	}
	i.unread.synced[source] = whole || i.unread.synced[source]
	i.mu.Unlock()
	i.wake.Notify()
}

func (i *inbox) release(source string) {
	i.mu.Lock()
	i.unread.released = append(i.unread.released, source)
	i.mu.Unlock()
	i.wake.Notify()
}

func (i *inbox) takeOver(t takeover) {
	i.mu.Lock()
	if earlier := i.unread.takeover; earlier != nil {
		close(earlier.taken) // by a term that is over already
	}
	i.unread.takeover = &t
	i.mu.Unlock()
	i.wake.Notify()
}

func (i *inbox) trust(source string) {
	i.mu.Lock()
	i.unread.trusted = append(i.unread.trusted, source)
	i.mu.Unlock()
	i.wake.Notify()
}

func (i *inbox) change(rules Rules) {
	i.mu.Lock()
	i.unread.rules = &rules
	i.mu.Unlock()
	i.wake.Notify()
}

func (i *inbox) heed(news contract.Conflicts) <-chan struct{} {
	i.mu.Lock()
	i.unread.news.Merge(news)
	if i.unread.read == nil {
		i.unread.read = make(chan struct{})
	}
	read := i.unread.read
	i.mu.Unlock()
	i.wake.Notify()
	return read
}

// empty returns what is unread and leaves nothing.
func (i *inbox) empty() letters {
	i.mu.Lock()
	defer i.mu.Unlock()
	unread := i.unread
	i.unread = letters{updates: map[catalog.Key]update{}}
	return unread
}
