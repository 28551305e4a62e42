package kube

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// dispute is a host, or a virtual address, that a service of ours and somebody else's object would have.
type dispute struct {
	host string
	// address is set in place of a host.
	address netip.Addr
	claim   string
	// lost says that it is left to the other one.
	lost bool
}

// yield returns a service's objects without the hosts that somebody else had first; none where no host is left.
//
// A host is ours where a ServiceEntry of ours stands that has it and is older: that is whom istiod sends callers to
// (SortServicesByCreationTime in Istio's pilot/pkg/model). So what is left to others stays left to them, and what we
// have isn't lost to a newcomer: nothing is decided anew but when one of the two goes.
func (w *writer) yield(objects []mesh.Object) []mesh.Object {
	lost, disputes := w.arbitrate(objects)
	w.disputed(w.name, append(disputes, w.clashes(objects)...))
	return without(objects, lost)
}

// arbitrate finds out whose a service's hosts are, and lets the bridge know. Every replica does, as each knows all that it
// takes.
func (w *writer) arbitrate(objects []mesh.Object) (lost map[string]bool, disputes []dispute) {
	lost = map[string]bool{}
	if len(objects) == 0 {
		w.neighbours.want(w.name, nil)
		w.leave(w.name, nil)
		return lost, nil
	}
	entry := objects[0].Spec.(*networking.ServiceEntry)
	claims := w.neighbours.want(w.name, entry.Hosts)
	var left []string
	for _, host := range entry.Hosts {
		for _, c := range claims[host] {
			if c.concerns(host, objects[0].Namespace, entry) {
				d := dispute{host: host, claim: c.String(), lost: !w.had(host, c.since)}
				lost[host] = lost[host] || d.lost
				disputes = append(disputes, d)
			}
		}
		if lost[host] {
			left = append(left, host)
		}
	}
	w.leave(w.name, left)
	return lost, disputes
}

// had tells whether a ServiceEntry of ours that has the host was there before.
func (w *writer) had(host string, since time.Time) bool {
	return w.stood(since, func(entry *networkingv1.ServiceEntry) bool { return slices.Contains(entry.Spec.Hosts, host) })
}

// stood tells whether such a ServiceEntry of ours was there before.
func (w *writer) stood(since time.Time, such func(*networkingv1.ServiceEntry) bool) bool {
	for _, object := range w.standing {
		entry, ok := object.(*networkingv1.ServiceEntry)
		if ok && ours(entry) && entry.CreationTimestamp.Time.Before(since) && such(entry) {
			return true
		}
	}
	return false
}

// without returns a service's objects without some of its hosts.
func without(objects []mesh.Object, lost map[string]bool) []mesh.Object {
	if !slices.Contains(slices.Collect(maps.Values(lost)), true) {
		return objects
	}
	left := func(host string) bool { return lost[host] }
	entry := proto.Clone(objects[0].Spec).(*networking.ServiceEntry)
	if entry.Hosts = slices.DeleteFunc(entry.Hosts, left); len(entry.Hosts) == 0 {
		return nil
	}
	kept := slices.DeleteFunc(slices.Clone(objects), func(object mesh.Object) bool {
		rule, ok := object.Spec.(*networking.DestinationRule)
		return ok && left(rule.Host)
	})
	kept[0].Spec = entry
	return kept
}

// disputed tells of what began and what ended.
func (o *Output) disputed(name mesh.Name, now []dispute) {
	o.neighbours.mu.Lock()
	before := o.neighbours.disputes[name]
	if o.neighbours.disputes[name] = now; len(now) == 0 {
		delete(o.neighbours.disputes, name)
	}
	o.neighbours.mu.Unlock()
	for _, d := range now {
		o.metrics.disputed(d, 1)
		switch {
		case slices.Contains(before, d):
		case d.address.IsValid():
			o.log.Warn("somebody else has a virtual address that a service has; connections to it may reach either",
				"service", name, "address", d.address, "of", d.claim)
		case d.lost:
			o.log.Warn("a host is somebody else's, who had it first; it is left out until it is free", "service", name, "host", d.host, "of", d.claim)
		default:
			o.log.Warn("somebody else would have a host that a service has; callers may reach either", "service", name, "host", d.host, "of", d.claim)
		}
	}
	for _, d := range before {
		o.metrics.disputed(d, -1)
		switch {
		case slices.ContainsFunc(now, d.same):
		case d.address.IsValid():
			o.log.Info("a virtual address is no longer in dispute", "service", name, "address", d.address, "of", d.claim)
		default:
			o.log.Info("a host is no longer in dispute", "service", name, "host", d.host, "of", d.claim)
		}
	}
}

// same tells whether two are about the same, however they end.
func (d dispute) same(other dispute) bool {
	return d.host == other.host && d.address == other.address && d.claim == other.claim
}

func (d dispute) outcome() string {
	if d.lost {
		return "left"
	}
	return "kept"
}

// withhold takes everything of ours away for a service that has no host left: at once, because what stands would go on
// claiming the host.
func (w *writer) withhold(ctx context.Context) error {
	var errs []error
	for _, object := range w.standing {
		errs = append(errs, w.remove(ctx, object))
	}
	return errors.Join(errs...)
}
