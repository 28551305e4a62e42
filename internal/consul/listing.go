package consul

import (
	"context"
	"hash/maphash"
	"io"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/consul/client"
	"github.com/isthmus-mesh/isthmus/internal/consul/jsonstream"
)

const (
	listPath = "/v1/catalog/services"
	// A list that takes long to read is polled less often: reading takes at most a quarter of the time.
	listPauseFactor = 3
	// minListDuration is the duration from which that applies.
	minListDuration = 100 * time.Millisecond
	maxSlowPause    = 30 * time.Second
)

// listing is a list of names, as far as the source needs it. The list itself can be of any size: each registration adds its
// tags to it. So it is read as a stream, and no tag is kept.
type listing struct {
	// names has the names to follow that the source has room for, and a digest of the tags of each.
	names map[string]uint64
	// waiting is the number of selected names that the source has no room for.
	waiting int
	// preferred has the preferred names in the list.
	preferred map[string]bool
	// total is the number of names, without Consul's own service.
	total int
	// selected is the number of selected names.
	selected int
	// consul means that Consul's own service is in the list.
	consul bool
	// digest is a digest of the names to follow.
	digest uint64
	// duration is how long reading the body took.
	duration time.Duration
}

// empty reports whether the response has no name at all.
func (l *listing) empty() bool { return l.total == 0 && !l.consul }

// pause returns the pause that the size of the list needs.
func (l *listing) pause() time.Duration {
	if l.duration < minListDuration {
		return 0
	}
	return min(listPauseFactor*l.duration, maxSlowPause)
}

// listSeed is the seed of listing.digest.
var listSeed = maphash.MakeSeed()

// readList requests the list of names.
func (s *Source) readList(ctx context.Context, q *api.QueryOptions) (listing, *api.QueryMeta, error) {
	var l listing
	read := func(body io.Reader) error {
		began := time.Now()
		followed := s.followed()
		l = listing{names: make(map[string]uint64, followed), preferred: map[string]bool{}}
		by, admission := s.selector.selection(), newAdmission(s.opts.Limits.Services-followed)
		err := jsonstream.Names(body, func(name []byte, tags uint64) { s.addListed(&l, by, admission, name, tags) })
		admission.addTo(&l)
		l.duration = time.Since(began)
		return err
	}
	ctx = client.WithBody(ctx, client.Body{Read: read, Unbounded: true})
	meta, err := s.client.API.Raw().Query(listPath, &struct{}{}, q.WithContext(ctx))
	return l, meta, err
}

// addListed adds one name to a list that is being read.
func (s *Source) addListed(l *listing, by Selection, admission *admission, name []byte, tags uint64) {
	if strings.EqualFold(string(name), consulService) { // Consul compares names without regard to case
		l.consul = true
		return
	}
	l.total++
	if name == nil || !by.follows(string(name)) {
		return
	}
	if by.matchesName(string(name)) {
		l.selected++
	}
	l.digest += maphash.Bytes(listSeed, name)
	s.mu.Lock()
	defer s.mu.Unlock()
	preferred := s.preferred[string(name)]
	if preferred {
		l.preferred[string(name)] = true
	}
	if w := s.services[string(name)]; w != nil {
		l.names[w.name] = tags
		return
	}
	admission.offer(name, tags, preferred)
}

// followed returns the number of services that are followed.
func (s *Source) followed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.services)
}
