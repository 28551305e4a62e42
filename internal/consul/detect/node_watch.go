package detect

import (
	"context"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

const (
	// The response of the list of nodes costs Consul a scan of all nodes, so the pause grows with them.
	minNodesPause     = time.Second
	maxNodesPause     = 30 * time.Second
	nodesPausePerNode = time.Millisecond
	// The response of a node watch has all registrations of the node and costs Consul about 15 µs per instance. The pause
	// after a change grows with the number of all instances, because all nodes can change: together they cost Consul a third
	// of a core.
	minNodePause         = 10 * time.Millisecond
	maxNodePause         = 5 * time.Second
	nodePausePerInstance = 50 * time.Microsecond
)

// watchNodes watches the addresses and the meta of the nodes. The caller holds Detector.mu.
func (d *Detector) watchNodes(ctx context.Context) {
	w := &changeWatch[string, uint64]{
		services:   func(node string, _, _ uint64) []string { return d.instances.servicesOn(node, "") },
		onResponse: func(nodes map[string]uint64) { d.updateNodeWatches(ctx, nodes) },
		pause: func(nodes int) time.Duration {
			return min(max(time.Duration(nodes)*nodesPausePerNode, minNodesPause), maxNodesPause)
		},
	}
	watch(ctx, d, "nodes", "nodes",
		func(q *api.QueryOptions) ([]*api.Node, *api.QueryMeta, error) { return d.API.Catalog().Nodes(q) },
		func(body []*api.Node) map[string]uint64 {
			nodes := make(map[string]uint64, len(body))
			for _, node := range body {
				nodes[strings.ToLower(node.Node)] += node.ModifyIndex // nodes of several partitions can share a name
			}
			return nodes
		}, w)
}

// registration is an instance on a node, as far as it shows that the instance changed.
type registration struct {
	service string
	index   uint64
}

// updateNodeWatches watches the registrations on each node if half of the polls are enough for all nodes. Consul wakes such
// a poll only for a change on its node, and the response shows which service changed. No scan is necessary.
func (d *Detector) updateNodeWatches(ctx context.Context, nodes map[string]uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := len(nodes) <= (d.Polls.Size()-changeWatches)/2
	for node := range nodes {
		all = all && ValidName(node)
	}
	if !all {
		nodes = nil
	}
	before := len(d.nodeWatches)
	for node, end := range d.nodeWatches {
		if _, ok := nodes[node]; !ok {
			end()
			delete(d.nodeWatches, node)
		}
	}
	for node := range nodes {
		if d.nodeWatches[node] == nil {
			ctx, end := context.WithCancel(ctx)
			d.nodeWatches[node] = end
			d.watchNode(ctx, node)
		}
	}
	d.demote(d.budget.resize(d.capacity()))
	if !all && before != 0 {
		d.scanner.demand() // for changes that the ended watches did not report
	}
}

// nodesWatched reports whether every node is watched without failures.
func (d *Detector) nodesWatched() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for node := range d.nodeWatches {
		if d.Query.Failures.Failing(queryID(nodeWatchName(node))) {
			return false
		}
	}
	return len(d.nodeWatches) != 0
}

func nodeWatchName(node string) string { return "services of node " + node }

// watchNode watches the registrations on a node. The caller holds Detector.mu.
func (d *Detector) watchNode(ctx context.Context, node string) {
	w := &changeWatch[string, registration]{
		services: func(_ string, before, after registration) []string { return []string{before.service, after.service} },
		pause: func(int) time.Duration {
			return min(max(time.Duration(d.instances.size())*nodePausePerInstance, minNodePause), maxNodePause)
		},
		noPauseIfUnchanged: true,
	}
	watch(ctx, d, "node", nodeWatchName(node),
		func(q *api.QueryOptions) (*api.CatalogNodeServiceList, *api.QueryMeta, error) {
			return d.API.Catalog().NodeServiceList(node, q)
		},
		func(body *api.CatalogNodeServiceList) map[string]registration {
			registrations := map[string]registration{}
			if body != nil {
				for _, i := range body.Services {
					registrations[i.ID] = registration{i.Service, i.ModifyIndex}
				}
			}
			return registrations
		}, w)
}
