package consul

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/consul/blocking"
	"github.com/isthmus-mesh/isthmus/internal/consul/failure"
)

const (
	// consulService is the service of the Consul servers. It is not part of the mesh.
	consulService = "consul"
	// A list of ten thousand names costs Consul 0.1 s of CPU, and each registration changes it. The pause is 0.1 ms per name,
	// within these bounds.
	listPausePerName = 100 * time.Microsecond
	minListPause     = 50 * time.Millisecond
	maxListPause     = time.Second
	// A poll with an index from before the restore of a snapshot returns only after its wait. The list detects a restore for
	// all services, so its wait is short.
	maxWatchWait = time.Minute
	// listID is the ID of the list for failure.Tracker.
	listID = ""
)

// catalogWatch follows the names of all services.
type catalogWatch struct {
	*blocking.Query[map[string][]string]
	source *Source
	// names are the names of the last accepted list.
	names map[string]bool
	// tags are the tags of each service, joined.
	tags map[string]string
	// index is the index of the last accepted list.
	index uint64
	// checkedVersion is the version of the credentials whose token was checked.
	checkedVersion int
	// acceptedVersion is the version of the credentials of the last accepted list.
	acceptedVersion int
	// missingRight says why ACLs reduced the last list; nil if they did not.
	missingRight error
}

func newCatalogWatch(s *Source) *catalogWatch {
	l := &catalogWatch{source: s}
	var failed sync.Once
	l.Query = blocking.New(blocking.Spec[map[string][]string]{
		Config:   s.query,
		Endpoint: "services",
		ID:       listID,
		Reads:    s.listPool,
		Polls:    s.listPool,
		Wait:     func() time.Duration { return blocking.Jitter(min(s.opts.Wait, s.opts.watchWait)) },
		Ask:      l.ask,
		Handle:   l.handle,
		Changed:  func(body map[string][]string) bool { return !maps.Equal(s.selected(namesOf(body)), l.names) },
		OnFailure: func(failure.Reason, error) bool {
			failed.Do(func() { close(s.listFailed) })
			return true
		},
	})
	return l
}

// ask requests the list. It checks a new token first, and finds out which right is missing if ACLs reduced the list.
func (l *catalogWatch) ask(ctx context.Context, q *api.QueryOptions) (map[string][]string, *api.QueryMeta, error) {
	s := l.source
	if version := s.client.Credentials.Version(); q.WaitIndex == 0 && version != l.checkedVersion && s.checkToken(ctx) {
		l.checkedVersion = version
	}
	body, meta, err := s.client.API.Catalog().Services(q.WithContext(ctx))
	if err != nil {
		return body, meta, err
	}
	reduced := meta.ResultsFilteredByACLs || len(body) == 0
	switch {
	case !reduced:
		l.missingRight = nil
	case l.missingRight == nil || q.WaitIndex == 0:
		l.missingRight = s.findMissingRight(ctx)
	}
	return body, meta, nil
}

// handle follows the names. Each list has Consul's own service, so an empty list is that of a client without rights, even if
// it is not marked: an agent knows only its own ACL policy, which is that of neither the servers nor another datacenter.
func (l *catalogWatch) handle(ctx context.Context, r blocking.Response[map[string][]string]) blocking.Action {
	s := l.source
	filtered := r.Meta.ResultsFilteredByACLs
	switch {
	case len(r.Body) == 0 && filtered:
		return blocking.Reject(s.query, failure.Filtered, l.missingRight)
	case len(r.Body) == 0:
		return blocking.Reject(s.query, failure.Anonymous, l.missingRight)
	case s.needsConsistentRead(!filtered, r.RequestIndex):
		return blocking.Action{}
	}
	names := s.selected(namesOf(r.Body))
	s.open(ctx, len(names))
	before := s.failures.Reason(listID)
	recovered := before != failure.None && (!filtered || before != failure.Filtered)
	l.names = names
	s.follow(ctx, names, !filtered)
	s.skipFailing(recovered)
	l.detectChanges(r)
	l.recover(r, recovered)
	l.index = r.Meta.LastIndex
	action := blocking.Action{Accept: true, Pause: listPause(len(names)) - r.Latency}
	if filtered {
		action.Reason, action.Err = failure.Filtered, l.missingRight
	}
	return action
}

// recover reads services again if Consul has another state, answers again, or answers new credentials.
func (l *catalogWatch) recover(r blocking.Response[map[string][]string], recovered bool) {
	s := l.source
	switch {
	case r.Meta.LastIndex < l.index, r.EarlyReturn && r.Meta.LastIndex != l.index:
		s.resync()
	case recovered:
		s.retryFailing()
	}
	if l.acceptedVersion != 0 && l.acceptedVersion != r.Version {
		s.onCredentialsChanged()
	}
	l.acceptedVersion = r.Version
}

// detectChanges reads the unwatched services whose tags changed. The list shows nothing else of a change; the detector finds
// the service.
func (l *catalogWatch) detectChanges(r blocking.Response[map[string][]string]) {
	before := l.tags
	l.tags = make(map[string]string, len(r.Body))
	var changed []string
	for name, tags := range r.Body {
		slices.Sort(tags) // their order is random
		l.tags[name] = strings.Join(tags, "\x00")
		if old, ok := before[name]; ok && old != l.tags[name] {
			changed = append(changed, name)
		}
	}
	detector := l.source.detector
	detector.MarkChanged(changed)
	if r.Meta.LastIndex != l.index {
		// A poll that returns at once can cover several changes, and the index is only that of the last one.
		detector.ListChanged(r.Meta.LastIndex, r.RequestIndex != 0 && r.Latency > listPause(len(l.names))/2)
	}
}

// listPause returns the pause between two polls of a list with so many names.
func listPause(names int) time.Duration {
	return min(max(time.Duration(names)*listPausePerName, minListPause), maxListPause)
}

// namesOf returns the names in a list, without Consul's own service. The map must not be modified.
func namesOf(body map[string][]string) map[string]bool {
	names := make(map[string]bool, len(body))
	for name := range body {
		if name != consulService {
			names[name] = true
		}
	}
	return names
}
