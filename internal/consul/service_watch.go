package consul

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/consul/blocking"
	"github.com/isthmus-mesh/isthmus/internal/consul/detect"
	"github.com/isthmus-mesh/isthmus/internal/consul/failure"
)

const (
	// maxEmptyReads is how often an empty response to an anonymous request is read again before it is a failure.
	maxEmptyReads  = 3
	emptyReadPause = time.Second
)

// phase is the progress of a serviceWatch.
type phase int

const (
	// phaseInitial: the service is in the first list, and no request was answered.
	phaseInitial phase = iota
	// phasePending: nothing final is reported.
	phasePending
	// phaseSynced: the first content is reported, or the initial sync does not wait for it.
	phaseSynced
)

type serviceResponse = blocking.Response[serviceBody]

// serviceWatch follows the instances of one service.
type serviceWatch struct {
	*blocking.Query[serviceBody]
	source *Source
	name   string
	// detected is the service in the detector.
	detected *detect.Service
	phase    phase
	// last is the content that was reported last.
	last catalog.Service
	// sidecars are the transparent proxies that are registered under the name.
	sidecars []sidecar
	// filtered means that ACLs reduced the last read. Responses of the streaming backend do not say so.
	filtered bool
	// nonMatching are the nodes of the instances that do not match the filter, as of the last read.
	nonMatching []string
	// emptyStreak counts empty responses to anonymous requests in a row.
	emptyStreak int
	// lossStreak counts the polls with a loss since a read confirmed one.
	lossStreak int
	// badRequestStreak counts the requests in a row that Consul answered with status 400.
	badRequestStreak int
	// skipLogged means that the log says that the service is skipped.
	skipLogged bool
}

func newServiceWatch(s *Source, name string, initial bool) *serviceWatch {
	w := &serviceWatch{source: s, name: name, phase: phasePending, last: catalog.Service{
		Key: catalog.Key{Source: s.opts.Name, Name: name}, Datacenter: s.opts.Datacenter,
	}}
	if initial {
		w.phase = phaseInitial
	}
	w.Query = blocking.New(blocking.Spec[serviceBody]{
		Config:   s.query,
		Endpoint: "service",
		ID:       name,
		Reads:    s.reads,
		Polls:    s.polls,
		Wait:     func() time.Duration { return blocking.Jitter(s.opts.Wait) },
		Ask:      w.ask,
		Handle:   w.handle,
		Changed: func(body serviceBody) bool {
			return !reflect.DeepEqual(body.Instances, w.last.Instances) || !slices.Equal(body.sidecars, w.sidecars)
		},
		Entries:   func(body serviceBody) int { return body.entries },
		Gate:      w.gate,
		OnIndex:   w.onIndex,
		OnFailure: w.onFailure,
	})
	w.detected = detect.NewService(name, w.Query)
	return w
}

// gate delays polls until the service is watched and the first reads are over.
func (w *serviceWatch) gate(ctx context.Context) error {
	if err := w.detected.WaitUntilWatched(ctx); err != nil {
		return err
	}
	return w.source.waitForReads(ctx)
}

// onIndex passes the index of an accepted response to the detector. A lower index means that a snapshot was restored. The list
// is read then; it would notice only after its wait.
func (w *serviceWatch) onIndex(index uint64, lower bool) {
	w.source.detector.Attribute(index)
	if lower {
		w.source.list.Refresh()
	}
}

// ask requests the instances.
func (w *serviceWatch) ask(ctx context.Context, q *api.QueryOptions) (serviceBody, *api.QueryMeta, error) {
	if w.phase == phaseInitial {
		w.phase = phasePending
		defer w.source.firstAnswer()
	}
	if !detect.ValidName(w.name) {
		return serviceBody{}, nil, failure.ErrInvalidName
	}
	body, meta, err := w.filteredEntries(ctx, q)
	if statusOf(err) != http.StatusBadRequest {
		w.badRequestStreak = 0
		return body, meta, err
	}
	// One response is not enough: it may come from a proxy, and skipping the service removes it from the mesh.
	if w.badRequestStreak++; w.badRequestStreak >= blocking.Tolerance {
		err = fmt.Errorf("%w: %w", failure.ErrInvalidName, err)
	}
	return body, meta, err
}

// content returns the service of a response.
func (w *serviceWatch) content(body serviceBody) catalog.Service {
	s := body.Service
	s.Datacenter = cmp.Or(s.Datacenter, w.last.Datacenter)
	return s
}

// handle reports the content. It removes instances only after a read, and only if ACLs cannot have hidden them.
func (w *serviceWatch) handle(_ context.Context, r serviceResponse) blocking.Action {
	if w.deselected() {
		return blocking.Action{Done: true}
	}
	read := r.RequestIndex == 0
	next := w.content(r.Body)
	if read {
		w.filtered = r.Meta.ResultsFilteredByACLs
	}
	sidecars := r.Body.sidecars
	if w.filtered { // ACLs may hide the others
		sidecars = unionOfSidecars(w.sidecars, sidecars)
	}
	loss := loses(w.last, next) || losesSidecar(w.sidecars, sidecars)
	if loss && !read {
		return w.verifyLoss()
	}
	if r.Body.entries == 0 && len(w.nonMatching) == 0 && w.source.anonymous() && w.source.isListed(w.name) {
		return w.verifyEmpty()
	}
	w.emptyStreak = 0
	if loss || !read {
		w.lossStreak = 0
	}
	w.reportSidecars(sidecars, r.ReceivedAt)
	if w.filtered {
		return w.reportPartial(next, r)
	}
	w.report(next, r.ReceivedAt)
	w.source.detector.Admit(w.detected)
	w.synced()
	if len(next.Instances) == 0 && w.source.unfollow(w.name) {
		return blocking.Action{Done: true}
	}
	return blocking.Action{Accept: true}
}

// reportSidecars passes on the sidecars that are registered under the name.
func (w *serviceWatch) reportSidecars(sidecars []sidecar, at time.Time) {
	if w.phase == phaseSynced && slices.Equal(sidecars, w.sidecars) {
		return
	}
	w.sidecars = sidecars
	w.source.selector.setSidecars(w.name, sidecars, at)
}

// verifyLoss reads the service to confirm a loss: at once, or after a pause if reads keep denying it.
func (w *serviceWatch) verifyLoss() blocking.Action {
	w.lossStreak++
	if w.lossStreak <= blocking.Tolerance {
		return blocking.Action{}
	}
	return blocking.Action{Pause: blocking.Backoff(failure.NotBlocking, w.lossStreak-blocking.Tolerance)}
}

// verifyEmpty handles an empty response to an anonymous request. A lost right looks the same and is not marked. The response is
// accepted only after the list, which is never empty, has lost the name.
func (w *serviceWatch) verifyEmpty() blocking.Action {
	w.emptyStreak++
	if w.emptyStreak < maxEmptyReads {
		return blocking.Action{Pause: blocking.Jitter(emptyReadPause)}
	}
	w.reportUnread()
	w.synced()
	return blocking.Reject(w.source.query, failure.Anonymous, errors.New("a listed service has no instances: a client without rights gets such a response"))
}

// report forwards a change to the sink.
func (w *serviceWatch) report(next catalog.Service, at time.Time) {
	if reflect.DeepEqual(next, w.last) || w.phase == phaseSynced && addsNothing(next, w.last) {
		return
	}
	last := w.last
	w.last = next
	if w.phase == phaseSynced { // the first content is not a change
		w.source.detector.Promote(w.detected)
	}
	w.source.log.Debug("service changed", "service", w.name, "instances", len(next.Instances))
	w.source.selector.Update(next, at)
	w.source.detector.InstancesChanged(last, next)
}

// onFailure lets the initial sync continue without a service that cannot be read. It logs a service with an invalid name once.
func (w *serviceWatch) onFailure(r failure.Reason, err error) bool {
	if w.deselected() {
		return false
	}
	switch {
	case w.phase == phaseSynced:
	case r == failure.InvalidName:
		w.reportUnread()
	case r == failure.TooLarge:
		w.reportUnread()
		w.source.skip(w.name)
	case w.Failures() >= blocking.Tolerance:
		w.reportUnread()
		w.source.recordFailure(w.name)
	}
	if r != failure.InvalidName {
		return true
	}
	if !w.skipLogged {
		w.skipLogged = true
		w.source.log.Warn(messageInvalidName, "service", w.name, "error", w.source.failures.Redact(err), "hint", failure.Hint(r))
	}
	w.synced()
	return len(w.last.Instances) != 0 || !w.source.unfollow(w.name)
}

const messageInvalidName = "invalid service name, skipping the service"

// synced ends the initial sync of the service.
func (w *serviceWatch) synced() {
	if w.phase != phaseSynced {
		w.phase = phaseSynced
		w.source.serviceSynced(w.name)
	}
}
