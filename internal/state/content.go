package state

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// content is the result of all records of a file.
type content struct {
	services map[catalog.Key]catalog.Service
	synced   map[string]bool
	holds    map[string]guard.Hold
	// addresses are the virtual addresses of services.
	addresses map[mesh.Name][]netip.Addr
	// names are the names of services that do not follow from their registered names.
	names map[catalog.Key]mesh.Name
	// tagHosts are the tags of services that have hosts of their own.
	tagHosts map[mesh.Name][]string
	// pods are the addresses for which services have inline endpoints.
	pods map[mesh.Name]netip.Addr
	// changed is the time of the newest record.
	changed time.Time
}

func newContent() content {
	return content{
		services: map[catalog.Key]catalog.Service{}, synced: map[string]bool{}, holds: map[string]guard.Hold{},
	}
}

// apply applies one record.
func (c *content) apply(r record) {
	switch {
	case r.Service != nil && len(r.Service.Instances) == 0:
		delete(c.services, r.Service.Key)
	case r.Service != nil:
		c.services[r.Service.Key] = *r.Service
	case r.Synced != "":
		c.synced[r.Synced] = true
	case r.Gone != "":
		maps.DeleteFunc(c.services, func(key catalog.Key, _ catalog.Service) bool { return key.Source == r.Gone })
		maps.DeleteFunc(c.names, func(key catalog.Key, _ mesh.Name) bool { return key.Source == r.Gone })
		maps.DeleteFunc(c.tagHosts, func(name mesh.Name, _ []string) bool { return name.Source == r.Gone })
		maps.DeleteFunc(c.pods, func(name mesh.Name, _ netip.Addr) bool { return name.Source == r.Gone })
		delete(c.synced, r.Gone)
	case r.Holds != nil:
		c.holds = *r.Holds
	case r.Tagged != nil && len(r.Tags) == 0:
		delete(c.tagHosts, *r.Tagged)
	case r.Tagged != nil:
		if c.tagHosts == nil {
			c.tagHosts = map[mesh.Name][]string{}
		}
		c.tagHosts[*r.Tagged] = r.Tags
	case r.Named != nil && (r.Name == nil || *r.Name == mesh.Name{}):
		delete(c.names, *r.Named)
	case r.Named != nil:
		if c.names == nil {
			c.names = map[catalog.Key]mesh.Name{}
		}
		c.names[*r.Named] = *r.Name
	case r.Addressed != nil && len(r.Addresses) == 0:
		delete(c.addresses, *r.Addressed)
	case r.Addressed != nil:
		if c.addresses == nil {
			c.addresses = map[mesh.Name][]netip.Addr{}
		}
		c.addresses[*r.Addressed] = r.Addresses
	case r.Inlined != nil && !r.Pod.IsValid():
		delete(c.pods, *r.Inlined)
	case r.Inlined != nil:
		if c.pods == nil {
			c.pods = map[mesh.Name]netip.Addr{}
		}
		c.pods[*r.Inlined] = r.Pod
	}
	if r.At.After(c.changed) {
		c.changed = r.At
	}
}

// snapshot returns a copy of the content.
func (c *content) snapshot() contract.Snapshot {
	return contract.Snapshot{
		Services:        slices.SortedFunc(maps.Values(c.services), func(a, b catalog.Service) int { return a.Key.Compare(b.Key) }),
		CompleteSources: slices.Sorted(maps.Keys(c.synced)),
		Holds:           maps.Clone(c.holds),
		Addresses:       maps.Clone(c.addresses),
		Names:           maps.Clone(c.names),
		TagHosts:        maps.Clone(c.tagHosts),
		PodAddresses:    maps.Clone(c.pods),
		Changed:         c.changed,
	}
}

// records returns the smallest list of records that results in the content.
func (c *content) records() []record {
	records := []record{{Version: version, At: c.changed}}
	snapshot := c.snapshot()
	for _, service := range snapshot.Services {
		records = append(records, record{Service: &service, At: c.changed})
	}
	for _, source := range snapshot.CompleteSources {
		records = append(records, record{Synced: source, At: c.changed})
	}
	for _, key := range slices.SortedFunc(maps.Keys(c.names), catalog.Key.Compare) {
		name := c.names[key]
		records = append(records, record{Named: &key, Name: &name, At: c.changed})
	}
	for _, name := range slices.SortedFunc(maps.Keys(c.addresses), mesh.Name.Compare) {
		records = append(records, record{Addressed: &name, Addresses: c.addresses[name], At: c.changed})
	}
	for _, name := range slices.SortedFunc(maps.Keys(c.tagHosts), mesh.Name.Compare) {
		records = append(records, record{Tagged: &name, Tags: c.tagHosts[name], At: c.changed})
	}
	for _, name := range slices.SortedFunc(maps.Keys(c.pods), mesh.Name.Compare) {
		records = append(records, record{Inlined: &name, Pod: c.pods[name], At: c.changed})
	}
	return append(records, record{Holds: &snapshot.Holds, At: c.changed})
}
