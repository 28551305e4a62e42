package xds

import (
	"strconv"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// collection is all resources of one kind.
type collection struct {
	resources map[string]*resource
	// sum is of the shares of all resources: equal collections have the same, in whatever order they came to be.
	sum uint64
	// bytes is the size of all resources.
	bytes int

	// world are all resources as state of the world sends them, made when it is first asked for. It is shared by all
	// responses, and replaced when anything changes.
	world []*anypb.Any
}

func newCollection() *collection { return &collection{resources: map[string]*resource{}} }

// set puts a resource in place of the one with its name. It returns whether that changed anything.
func (c *collection) set(r *resource) bool {
	old, had := c.resources[r.name]
	if had && old.version == r.version {
		return false
	}
	c.remove(r.name)
	c.resources[r.name] = r
	c.sum += r.share
	c.bytes += r.size()
	c.world = nil
	return true
}

// remove takes a resource out. It returns whether it was there.
func (c *collection) remove(name string) bool {
	old, had := c.resources[name]
	if !had {
		return false
	}
	delete(c.resources, name)
	c.sum -= old.share
	c.bytes -= old.size()
	c.world = nil
	return true
}

// version is a function of the content alone.
func (c *collection) version() string {
	return strconv.Itoa(len(c.resources)) + "-" + strconv.FormatUint(c.sum, 16)
}

// all returns every resource. The slice must not be changed.
func (c *collection) all() []*anypb.Any {
	if c.world == nil {
		c.world = make([]*anypb.Any, 0, len(c.resources))
		for _, r := range c.resources {
			c.world = append(c.world, r.wire.GetResource())
		}
	}
	return c.world
}

// since returns what differs from what somebody has, whose resources' versions are given: what changed or came, and the
// names of what went.
func (c *collection) since(versions map[string]string) (changed []*discovery.Resource, removed []string) {
	for name, r := range c.resources {
		if versions[name] != r.version {
			changed = append(changed, r.wire)
		}
	}
	for name := range versions {
		if _, ok := c.resources[name]; !ok && name != everything {
			removed = append(removed, name)
		}
	}
	return changed, removed
}

// versions returns the version of each resource.
func (c *collection) versions() map[string]string {
	versions := make(map[string]string, len(c.resources))
	for name, r := range c.resources {
		versions[name] = r.version
	}
	return versions
}
