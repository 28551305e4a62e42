package consul

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// Consul's maintenance mode is a critical check of one of these IDs; a service's own is followed by the ID
// of the service.
const (
	nodeMaintenance    = "_node_maintenance"
	serviceMaintenance = "_service_maintenance:"
)

// convert returns what Consul's entries say of the service. It takes only plain services (no proxies and
// gateways) of this very name: Consul finds names whatever their case. Entries of other peers are left
// out. Each instance is there once, sorted by ID. An entry's own datacenter is used where none is given: who may write
// a node may write what he likes there (/v1/txn).
func convert(key catalog.Key, datacenter string, entries []*api.ServiceEntry, addressTag string) catalog.Service {
	c := newConverter(key, datacenter, addressTag)
	for _, entry := range entries {
		c.add(entry)
	}
	return c.finish()
}

// converter converts entries one by one.
type converter struct {
	datacenter string
	// addressTag is Options.AddressTag.
	addressTag string
	service    catalog.Service
	// bytes is the memory that the instances take, without what they share.
	bytes int64
}

func newConverter(key catalog.Key, datacenter, addressTag string) converter {
	return converter{datacenter: datacenter, addressTag: addressTag, service: catalog.Service{Key: key, Datacenter: datacenter}}
}

func (c *converter) add(entry *api.ServiceEntry) {
	if !wanted(c.service.Name, entry) {
		return
	}
	instance := instanceOf(c.datacenter, entry, c.addressTag)
	var before catalog.Instance
	if last := len(c.service.Instances) - 1; last >= 0 {
		before = c.service.Instances[last]
		shareWith(&instance, before)
	}
	c.bytes += instanceBytes(instance, before)
	c.service.Instances = append(c.service.Instances, instance)
}

func (c *converter) finish() catalog.Service {
	service := c.service
	if service.Instances = unique(service.Instances); len(service.Instances) == 0 {
		service.Instances = nil
	} else {
		service.Datacenter = service.Instances[0].ID.Datacenter
		catalog.MarkEndpoints(service.Instances)
	}
	return service
}

// shareWith has an instance refer to what another says too, as those of a service mostly do: of 100,000 instances a map
// each takes 30 MB.
func shareWith(instance *catalog.Instance, other catalog.Instance) {
	if maps.Equal(instance.Meta, other.Meta) {
		instance.Meta = other.Meta
	}
	if maps.Equal(instance.NodeMeta, other.NodeMeta) {
		instance.NodeMeta = other.NodeMeta
	}
	if slices.Equal(instance.Tags, other.Tags) {
		instance.Tags = other.Tags
	}
	if slices.Equal(instance.Checks, other.Checks) {
		instance.Checks = other.Checks
	}
	if slices.Equal(instance.Virtual, other.Virtual) {
		instance.Virtual = other.Virtual
	}
}

func wanted(name string, entry *api.ServiceEntry) bool {
	return entry != nil && entry.Node != nil && entry.Service != nil &&
		entry.Service.Kind == api.ServiceKindTypical && entry.Service.Service == name &&
		entry.Service.PeerName == "" && entry.Node.PeerName == ""
}

// unique sorts the instances and leaves out those that are the same to Consul, which ignores case.
func unique(instances []catalog.Instance) []catalog.Instance {
	slices.SortStableFunc(instances, func(a, b catalog.Instance) int { return a.ID.Compare(b.ID) })
	seen := make(map[catalog.InstanceID]bool, len(instances))
	return slices.DeleteFunc(instances, func(i catalog.Instance) bool {
		id := i.ID.Fold()
		again := seen[id]
		seen[id] = true
		return again
	})
}

func instanceOf(datacenter string, entry *api.ServiceEntry, addressTag string) catalog.Instance {
	node, service := entry.Node, entry.Service
	instance := catalog.Instance{
		ID: catalog.InstanceID{
			Datacenter: cmp.Or(datacenter, node.Datacenter, service.Datacenter),
			Partition:  cmp.Or(service.Partition, node.Partition),
			Namespace:  service.Namespace,
			Node:       node.Node,
			ServiceID:  service.ID,
		},
		Address:  cmp.Or(service.Address, node.Address),
		Port:     service.DefaultPort(),
		Locality: localityOf(service.Locality, node.Locality),
		Weights:  catalog.Weights{Passing: service.Weights.Passing, Warning: service.Weights.Warning},
		Health:   healthOf(service.ID, entry.Checks),
		Checks:   checksOf(service.ID, entry.Checks),
		Modified: service.ModifyIndex,
	}
	// None and empty are the same; an answer must not look changed by it.
	if len(service.Tags) != 0 {
		instance.Tags = service.Tags
	}
	for _, port := range service.Ports {
		instance.Ports = append(instance.Ports, catalog.Port{Name: port.Name, Number: port.Port, Default: port.Default})
	}
	instance.Ports = append(instance.Ports, urlPorts(service.TaggedAddresses, instance.Address)...)
	instance.Virtual = virtualAddresses(service.TaggedAddresses)
	useTaggedAddress(&instance, entry, addressTag)
	if len(service.Meta) != 0 {
		instance.Meta = service.Meta
	}
	if len(node.Meta) != 0 {
		instance.NodeMeta = node.Meta
	}
	instance.LeftOut = kindsOf(entry, instance)
	return instance
}

// localityOf returns the service's locality, else its node's.
func localityOf(localities ...*api.Locality) catalog.Locality {
	for _, l := range localities {
		if l != nil && (l.Region != "" || l.Zone != "") {
			return catalog.Locality{Region: l.Region, Zone: l.Zone}
		}
	}
	return catalog.Locality{}
}

// healthOf returns the worst of the checks, the node's too. Maintenance outranks everything; a status that
// nobody knows counts as critical. No checks mean that the instance is passing, as in Consul.
func healthOf(serviceID string, checks api.HealthChecks) catalog.Health {
	health := catalog.Passing
	for _, check := range checks {
		if check == nil {
			continue
		}
		switch check.Status {
		case api.HealthPassing:
		case api.HealthWarning:
			if health == catalog.Passing {
				health = catalog.Warning
			}
		default:
			if isMaintenance(serviceID, check.CheckID) {
				return catalog.Maintenance
			}
			health = catalog.Critical
		}
	}
	return health
}

func isMaintenance(serviceID, checkID string) bool {
	return checkID == nodeMaintenance || strings.EqualFold(checkID, serviceMaintenance+serviceID)
}

// loses says whether an instance of before is missing after. Both are sorted by ID.
func loses(before, after catalog.Service) bool {
	i := 0
	for _, instance := range before.Instances {
		for i < len(after.Instances) && after.Instances[i].ID.Compare(instance.ID) < 0 {
			i++
		}
		if i == len(after.Instances) || after.Instances[i].ID != instance.ID {
			return true
		}
	}
	return false
}
