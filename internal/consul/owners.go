package consul

import (
	"slices"
	"strings"
	"sync"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// owners know which service an instance belongs to. An instance that is registered anew with the same node
// and ID but under another service's name leaves its old service, and Consul does not wake the old
// service's queries then (unless they are served by streaming).
type owners struct {
	mu sync.Mutex
	// on are the instances of each node, and whose they are; count is how many.
	on    map[string]map[onNode]string
	count int
}

// onNode tells an instance from all others of its node. Of 100,000 instances the whole IDs would take 10 MB more.
type onNode string

// apart stands between the parts of an onNode; it is in no name.
const apart = "\x00"

func onNodeOf(id catalog.InstanceID) onNode {
	if id.Partition == "" && id.Namespace == "" {
		return onNode(id.ServiceID)
	}
	return onNode(id.Partition + apart + id.Namespace + apart + id.ServiceID)
}

// has tells whether the instance is registered with a service ID.
func (n onNode) has(serviceID string) bool {
	return string(n) == serviceID || strings.HasSuffix(string(n), apart+serviceID)
}

func newOwners() *owners {
	return &owners{on: map[string]map[onNode]string{}}
}

// move notes which instances a service has now and returns the services that they were taken from.
func (o *owners) move(name string, before, after []catalog.Instance) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	had := make(map[catalog.InstanceID]bool, len(before))
	for _, instance := range before {
		had[instance.ID.Fold()] = true
	}
	var robbed []string
	for _, instance := range after {
		id := instance.ID.Fold()
		if had[id] {
			delete(had, id)
			continue
		}
		if old, ok := o.on[id.Node][onNodeOf(id)]; ok && old != name {
			robbed = append(robbed, old)
		}
		o.add(id, name)
	}
	for id := range had {
		if o.on[id.Node][onNodeOf(id)] == name {
			o.remove(id)
		}
	}
	return robbed
}

func (o *owners) add(id catalog.InstanceID, name string) {
	if o.on[id.Node] == nil {
		o.on[id.Node] = map[onNode]string{}
	}
	if _, known := o.on[id.Node][onNodeOf(id)]; !known {
		o.count++
	}
	o.on[id.Node][onNodeOf(id)] = name
}

func (o *owners) remove(id catalog.InstanceID) {
	delete(o.on[id.Node], onNodeOf(id))
	o.count--
	if len(o.on[id.Node]) == 0 {
		delete(o.on, id.Node)
	}
}

// size returns how many instances there are.
func (o *owners) size() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.count
}

// at returns the services that have an instance on the node; of this ID, where one is given.
func (o *owners) at(node, serviceID string) []string {
	node, serviceID = strings.ToLower(node), strings.ToLower(serviceID)
	o.mu.Lock()
	defer o.mu.Unlock()
	var names []string
	for instance, name := range o.on[node] {
		if serviceID == "" || instance.has(serviceID) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// moved has the services read again that instances were taken from, and the one that took them: of two answers
// that claim an instance, the one that came last may be the older.
func (s *Source) moved(before, after catalog.Service) {
	robbed := s.owners.move(after.Name, before.Instances, after.Instances)
	if len(robbed) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.Debug("instances moved to another service", "from", robbed, "to", after.Name)
	for _, name := range append(robbed, after.Name) {
		if w := s.watchers[name]; w != nil {
			w.refresh()
		}
	}
}
