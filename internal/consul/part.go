package consul

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// takePart reports what an answer shows that ACLs have cut: what it lacks may only be hidden.
func (w *service) takePart(next catalog.Service, a answer[[]*api.ServiceEntry]) outcome {
	shown := len(next.Instances)
	next.Partial, next.Seen = true, w.last.Seen
	if a.sent == 0 {
		next.Seen = w.nodes(a.body)
	}
	next = next.Apply(w.last)
	w.report(next, a.at)
	w.source.hot.admit(w)
	w.settleOnce()
	if len(next.Instances) > shown {
		return refuse(w.source, filtered, errors.New("instances are missing and the answer was filtered by ACLs"))
	}
	return outcome{used: true, reason: filtered, err: errors.New("the answer was filtered by ACLs")}
}

// nodes returns those that may be read, as far as an answer shows: ACLs hide nodes and services, never one of several
// instances of a service on a node.
func (w *service) nodes(body []*api.ServiceEntry) []string {
	var nodes []string
	for _, entry := range slices.Concat(body, w.unfit) {
		if entry != nil && entry.Node != nil && entry.Service != nil && entry.Service.Service == w.name {
			nodes = append(nodes, strings.ToLower(entry.Node.Node))
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}

// unread reports, before anything else was, that nothing can be said of the service: what was known before stays.
func (w *service) unread() {
	if w.settled || w.last.Partial {
		return
	}
	w.last.Partial = true
	w.source.sink.Update(w.last, time.Now())
}

// addsNothing says that a cut answer tells nothing that was not told before: no other instances, and no other node.
func addsNothing(part, before catalog.Service) bool {
	unseen := func(node string) bool { return !slices.Contains(before.Seen, node) }
	return part.Partial && reflect.DeepEqual(part.Instances, before.Instances) &&
		(!before.Partial || !slices.ContainsFunc(part.Seen, unseen))
}
