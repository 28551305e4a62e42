package consul

import (
	"context"
	"fmt"
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
	*blocking.Query[listing]
	source *Source
	// last is the last accepted list.
	last listing
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
	l.Query = blocking.New(blocking.Spec[listing]{
		Config:   s.query,
		Endpoint: "services",
		ID:       listID,
		Reads:    s.listPool,
		Polls:    s.listPool,
		Wait:     func() time.Duration { return blocking.Jitter(min(s.opts.Wait, s.opts.watchWait)) },
		Ask:      l.ask,
		Handle:   l.handle,
		Changed:  func(body listing) bool { return body.digest != l.last.digest },
		OnFailure: func(failure.Reason, error) bool {
			failed.Do(func() { close(s.listFailed) })
			return true
		},
	})
	return l
}

// ask requests the list. It checks a new token first, and finds out which right is missing if ACLs reduced the list.
func (l *catalogWatch) ask(ctx context.Context, q *api.QueryOptions) (listing, *api.QueryMeta, error) {
	s := l.source
	if version := s.client.Credentials.Version(); q.WaitIndex == 0 && version != l.checkedVersion && s.checkToken(ctx) {
		l.checkedVersion = version
	}
	body, meta, err := s.readList(ctx, q)
	if err == nil {
		err = s.markFiltered(ctx, "", meta, body.empty())
	}
	if err != nil {
		return body, meta, err
	}
	reduced := meta.ResultsFilteredByACLs || body.empty()
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
func (l *catalogWatch) handle(ctx context.Context, r blocking.Response[listing]) blocking.Action {
	s := l.source
	filtered := r.Meta.ResultsFilteredByACLs
	switch {
	case r.Body.empty() && filtered:
		return blocking.Reject(s.query, failure.Filtered, l.missingRight)
	case r.Body.empty():
		return blocking.Reject(s.query, failure.Anonymous, l.missingRight)
	case s.needsConsistentRead(!filtered && r.Body.waiting == 0, r.RequestIndex):
		return blocking.Action{}
	case r.Body.waiting > 0 && s.waitForPreferences(ctx):
		return blocking.Action{}
	}
	names := r.Body.names
	s.open(ctx, len(names))
	before := s.failures.Reason(listID)
	recovered := before != failure.None && before != failure.OverLimit && (!filtered || before != failure.Filtered)
	s.warnUnselected(r.Body)
	s.follow(ctx, names, !filtered && r.Body.waiting == 0)
	s.applyLimit(ctx, r.Body, filtered)
	s.skipFailing(recovered)
	l.detectChanges(r)
	l.recover(r, recovered)
	l.index, l.last = r.Meta.LastIndex, r.Body
	action := blocking.Action{Accept: true, Pause: max(listPause(len(names))-r.Latency, r.Body.pause())}
	switch {
	case filtered:
		action.Reason, action.Err = failure.Filtered, l.missingRight
	case r.Body.waiting > 0:
		action.Reason, action.Err = failure.OverLimit, fmt.Errorf("%d services wait, the limit is %d services", r.Body.waiting, s.opts.Limits.Services)
	}
	return action
}

// recover reads services again if Consul has another state, answers again, or answers new credentials.
func (l *catalogWatch) recover(r blocking.Response[listing], recovered bool) {
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
func (l *catalogWatch) detectChanges(r blocking.Response[listing]) {
	var changed []string
	for name, tags := range r.Body.names {
		if before, ok := l.last.names[name]; ok && before != tags {
			changed = append(changed, name)
		}
	}
	detector := l.source.detector
	detector.MarkChanged(changed)
	if r.Meta.LastIndex != l.index {
		// A poll that returns at once can cover several changes, and the index is only that of the last one.
		held := r.Latency-r.Body.duration > listPause(len(r.Body.names))/2
		detector.ListChanged(r.Meta.LastIndex, r.RequestIndex != 0 && held)
	}
}

// listPause returns the pause between two polls of a list with so many names.
func listPause(names int) time.Duration {
	return min(max(time.Duration(names)*listPausePerName, minListPause), maxListPause)
}
