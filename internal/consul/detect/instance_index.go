package detect

import (
	"slices"
	"strings"
	"sync"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// instanceIndex maps instances to services. An instance that is registered again with the same node and ID under another
// service name leaves its previous service. Consul does not wake the polls of the previous service then, unless the
// streaming backend serves them.
type instanceIndex struct {
	// mu guards the fields below. It is a leaf.
	mu sync.Mutex
	// services has the service of each instance, by node.
	services map[string]map[nodeKey]string
	// count is the number of instances.
	count int
}

// nodeKey identifies an instance on its node. With complete IDs as keys, 100,000 instances would take 10 MB more.
type nodeKey string

// separator separates the parts of a nodeKey. No name contains it.
const separator = "\x00"

func nodeKeyOf(id catalog.InstanceID) nodeKey {
	if id.Partition == "" && id.Namespace == "" {
		return nodeKey(id.ServiceID)
	}
	return nodeKey(id.Partition + separator + id.Namespace + separator + id.ServiceID)
}

// hasServiceID reports whether the instance has the service ID.
func (k nodeKey) hasServiceID(serviceID string) bool {
	return string(k) == serviceID || strings.HasSuffix(string(k), separator+serviceID)
}

func newInstanceIndex() *instanceIndex {
	return &instanceIndex{services: map[string]map[nodeKey]string{}}
}

// update records the instances of a service and returns the services that had some of them before.
func (x *instanceIndex) update(name string, before, after []catalog.Instance) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	removed := make(map[catalog.InstanceID]bool, len(before))
	for _, instance := range before {
		removed[instance.ID.Fold()] = true
	}
	var previous []string
	for _, instance := range after {
		id := instance.ID.Fold()
		if removed[id] {
			delete(removed, id)
			continue
		}
		if owner, ok := x.services[id.Node][nodeKeyOf(id)]; ok && owner != name {
			previous = append(previous, owner)
		}
		x.add(id, name)
	}
	for id := range removed {
		if x.services[id.Node][nodeKeyOf(id)] == name {
			x.remove(id)
		}
	}
	return previous
}

func (x *instanceIndex) add(id catalog.InstanceID, name string) {
	if x.services[id.Node] == nil {
		x.services[id.Node] = map[nodeKey]string{}
	}
	if _, known := x.services[id.Node][nodeKeyOf(id)]; !known {
		x.count++
	}
	x.services[id.Node][nodeKeyOf(id)] = name
}

func (x *instanceIndex) remove(id catalog.InstanceID) {
	delete(x.services[id.Node], nodeKeyOf(id))
	x.count--
	if len(x.services[id.Node]) == 0 {
		delete(x.services, id.Node)
	}
}

// size returns the number of instances.
func (x *instanceIndex) size() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.count
}

// servicesOn returns the services with an instance on the node; only those with the service ID if one is given.
func (x *instanceIndex) servicesOn(node, serviceID string) []string {
	node, serviceID = strings.ToLower(node), strings.ToLower(serviceID)
	x.mu.Lock()
	defer x.mu.Unlock()
	var names []string
	for instance, name := range x.services[node] {
		if serviceID == "" || instance.hasServiceID(serviceID) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
