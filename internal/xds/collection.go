package xds

import (
	"strconv"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// collection holds all resources of one kind.
type collection struct {
	resources map[string]*resource
	// sum is the sum of the hashes of all resources. Equal collections have the same sum, independent of the order of the
	// changes.
	sum uint64
	// bytes is the size of all resources.
	bytes int

	// cachedAll is the result of all. All state-of-the-world responses share it. A change of the collection clears it.
	cachedAll []*anypb.Any
}

func newCollection() *collection { return &collection{resources: map[string]*resource{}} }

// set adds a resource or replaces the one of the same name. It reports whether the collection changed.
func (c *collection) set(r *resource) bool {
	old, exists := c.resources[r.name]
	if exists && old.version == r.version {
		return false
	}
	c.remove(r.name)
	c.resources[r.name] = r
	c.sum += r.hash
	c.bytes += r.size()
	c.cachedAll = nil
	return true
}

// remove removes a resource. It reports whether the resource existed.
func (c *collection) remove(name string) bool {
	old, exists := c.resources[name]
	if !exists {
		return false
	}
	delete(c.resources, name)
	c.sum -= old.hash
	c.bytes -= old.size()
	c.cachedAll = nil
	return true
}

// version returns the version of the collection. It depends on the content only.
func (c *collection) version() string {
	return strconv.Itoa(len(c.resources)) + "-" + strconv.FormatUint(c.sum, 16)
}

// all returns every resource. The caller must not change the slice.
func (c *collection) all() []*anypb.Any {
	if c.cachedAll == nil {
		c.cachedAll = make([]*anypb.Any, 0, len(c.resources))
		for _, r := range c.resources {
			c.cachedAll = append(c.cachedAll, r.wire.GetResource())
		}
	}
	return c.cachedAll
}

// since compares the collection with the versions of the resources that a client has. It returns the resources that are
// new or changed, and the names of the resources that no longer exist.
func (c *collection) since(versions map[string]string) (changed []*discovery.Resource, removed []string) {
	for name, r := range c.resources {
		if versions[name] != r.version {
			changed = append(changed, r.wire)
		}
	}
	for name := range versions {
		if _, exists := c.resources[name]; !exists && name != collectionKey {
			removed = append(removed, name)
		}
	}
	return changed, removed
}

// versions returns the version of each resource by name.
func (c *collection) versions() map[string]string {
	versions := make(map[string]string, len(c.resources))
	for name, r := range c.resources {
		versions[name] = r.version
	}
	return versions
}
