package conflict

import (
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// relation is a many-to-many relation between owners and keys that can be read in both directions.
type relation[O, K comparable] struct {
	keys   map[O][]K
	owners map[K][]O
}

func newRelation[O, K comparable]() relation[O, K] {
	return relation[O, K]{keys: map[O][]K{}, owners: map[K][]O{}}
}

// set replaces the keys of an owner.
func (r relation[O, K]) set(owner O, keys []K) {
	for _, key := range r.keys[owner] {
		others := slices.DeleteFunc(r.owners[key], func(other O) bool { return other == owner })
		if r.owners[key] = others; len(others) == 0 {
			delete(r.owners, key)
		}
	}
	if r.keys[owner] = keys; len(keys) == 0 {
		delete(r.keys, owner)
	}
	for _, key := range keys {
		if !slices.Contains(r.owners[key], owner) {
			r.owners[key] = append(r.owners[key], owner)
		}
	}
}

// index relates foreign objects and services by the keys that both have. A wide key, such as an address range, also
// relates to the keys that it covers.
type index[K comparable] struct {
	// foreign relates the String of a foreign object to its keys.
	foreign relation[string, K]
	// desired relates a service to its keys, none of which is wide.
	desired relation[mesh.Name, K]
	// isWide reports whether a key covers other keys.
	isWide func(key K) bool
	// covers reports whether a wide key covers another key.
	covers func(wide, key K) bool
	// wide are the wide keys of foreign objects. There are few.
	wide map[K]struct{}
}

// newIndex returns an index without wide keys.
func newIndex[K comparable]() index[K] {
	return index[K]{
		foreign: newRelation[string, K](), desired: newRelation[mesh.Name, K](),
		isWide: func(K) bool { return false }, wide: map[K]struct{}{},
	}
}

// update replaces the keys of a foreign object. It returns the services that have one of its old or new keys.
func (x index[K]) update(foreign string, keys []K) (affected []mesh.Name) {
	touched := append(slices.Clone(x.foreign.keys[foreign]), keys...)
	x.foreign.set(foreign, keys)
	for _, key := range touched {
		affected = append(affected, x.desired.owners[key]...)
		if !x.isWide(key) {
			continue
		}
		if x.wide[key] = struct{}{}; len(x.foreign.owners[key]) == 0 {
			delete(x.wide, key)
		}
		for other, names := range x.desired.owners {
			if x.covers(key, other) {
				affected = append(affected, names...)
			}
		}
	}
	return affected
}

// find returns the foreign objects that have a key, or a wide key that covers it.
func (x index[K]) find(key K) []string {
	found := slices.Clone(x.foreign.owners[key])
	for wide := range x.wide {
		if x.covers(wide, key) {
			found = append(found, x.foreign.owners[wide]...)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// Index finds the foreign objects that have a host or a virtual address of a service, and the services that a foreign
// object affects.
type Index struct {
	// mu guards all fields below. It is a leaf in the lock order: no other lock is taken while it is held.
	mu sync.Mutex
	// objects are the foreign objects by their String.
	objects   map[string]Foreign
	hosts     index[string]
	addresses index[netip.Prefix]
}

func newIndexes() *Index {
	x := &Index{objects: map[string]Foreign{}, hosts: newIndex[string](), addresses: newIndex[netip.Prefix]()}
	x.addresses.isWide = func(key netip.Prefix) bool { return !key.IsSingleIP() }
	x.addresses.covers = func(wide, key netip.Prefix) bool { return wide.Contains(key.Addr()) }
	return x
}

// Update replaces the state of a foreign object. An object without hosts and addresses is gone. It returns the services
// that the change affects, sorted, and whether the addresses of foreign objects may have changed.
func (x *Index) Update(now Foreign) (affected []mesh.Name, addressesChanged bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	key := now.String()
	before := x.objects[key]
	if before.equal(now) {
		return nil, false
	}
	if x.objects[key] = now; len(now.hosts)+len(now.addresses) == 0 {
		delete(x.objects, key)
	}
	affected = append(x.hosts.update(key, now.hosts), x.addresses.update(key, now.addresses)...)
	slices.SortFunc(affected, mesh.Name.Compare)
	return slices.Compact(affected), len(before.addresses)+len(now.addresses) > 0
}

// Addresses returns the addresses and ranges of all foreign objects, sorted.
func (x *Index) Addresses() []netip.Prefix {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.SortedFunc(maps.Keys(x.addresses.foreign.owners), netip.Prefix.Compare)
}

// SetHosts replaces the desired hosts of a service. It returns the foreign objects that have each of them, sorted.
func (x *Index) SetHosts(name mesh.Name, hosts []string) map[string][]Foreign {
	x.mu.Lock()
	defer x.mu.Unlock()
	keys := slices.Clone(hosts)
	for _, host := range hosts {
		if short, ok := serviceOfHost(host); ok {
			keys = append(keys, short)
		}
	}
	x.hosts.desired.set(name, keys)
	found := map[string][]Foreign{}
	for _, host := range hosts {
		objects := x.foreign(x.hosts.find(host))
		if short, ok := serviceOfHost(host); ok {
			objects = append(objects, slices.DeleteFunc(x.foreign(x.hosts.find(short)), Foreign.isNoService)...)
		}
		if len(objects) > 0 {
			found[host] = objects
		}
	}
	return found
}

// SetAddresses replaces the desired virtual addresses of a service. It returns the foreign objects that have each of
// them, alone or in a range, sorted.
func (x *Index) SetAddresses(name mesh.Name, addresses []netip.Addr) map[netip.Addr][]Foreign {
	x.mu.Lock()
	defer x.mu.Unlock()
	keys := make([]netip.Prefix, len(addresses))
	for i, address := range addresses {
		keys[i] = single(address)
	}
	x.addresses.desired.set(name, keys)
	found := map[netip.Addr][]Foreign{}
	for i, address := range addresses {
		if objects := x.addresses.find(keys[i]); len(objects) > 0 {
			found[address] = x.foreign(objects)
		}
	}
	return found
}

func (x *Index) foreign(objects []string) []Foreign {
	all := make([]Foreign, len(objects))
	for i, key := range objects {
		all[i] = x.objects[key]
	}
	return all
}
