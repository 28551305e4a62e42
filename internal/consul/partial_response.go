package consul

import (
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/consul/blocking"
	"github.com/isthmus-mesh/isthmus/internal/consul/failure"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// reportPartial reports the content of a response that ACLs reduced. Missing instances may only be hidden.
func (w *serviceWatch) reportPartial(next catalog.Service, r serviceResponse) blocking.Action {
	shown := len(next.Instances)
	next.Partial, next.Seen = true, w.last.Seen
	if r.RequestIndex == 0 {
		next.Seen = w.nodes(r.Body)
	}
	next = next.Apply(w.last)
	w.report(next, r.ReceivedAt)
	w.source.detector.Admit(w.detected)
	w.synced()
	if len(next.Instances) > shown {
		return blocking.Reject(w.source.query, failure.Filtered, errors.New("instances are missing and the response was filtered by ACLs"))
	}
	return blocking.Action{Accept: true, Reason: failure.Filtered, Err: errors.New("the response was filtered by ACLs")}
}

// nodes returns the nodes that the token can read, as far as a response shows. ACLs hide nodes and services, but never a part
// of the instances of a service on one node.
func (w *serviceWatch) nodes(body serviceBody) []string {
	nodes := slices.Concat(body.nodes, w.nonMatching)
	slices.Sort(nodes)
	return slices.Compact(nodes)
}

// reportUnread reports that nothing is known about the service, unless something was reported. The last known state stays.
func (w *serviceWatch) reportUnread() {
	if w.phase == phaseSynced || w.last.Partial {
		return
	}
	w.last.Partial = true
	w.source.selector.Update(w.last, time.Now())
}

// addsNothing reports whether a partial report has the instances and the nodes of the previous one.
func addsNothing(part, before catalog.Service) bool {
	unseen := func(node string) bool { return !slices.Contains(before.Seen, node) }
	return part.Partial && reflect.DeepEqual(part.Instances, before.Instances) &&
		(!before.Partial || !slices.ContainsFunc(part.Seen, unseen))
}
