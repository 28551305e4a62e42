package consul

import (
	"context"
	"time"

	"github.com/hashicorp/consul/api"
)

const (
	// A node's answer holds all that is registered on it and costs Consul some 15 µs for each instance. The pause after
	// one that told a change grows with all instances, because all nodes may change: together they cost a third of a core.
	postGapMin  = 10 * time.Millisecond
	postGapMax  = 5 * time.Second
	postGapEach = 50 * time.Microsecond
)

// An entry is a service's instance on a node, as far as it tells that something of it changed.
type entry struct {
	service string
	index   uint64
}

// postNodes has the services of each node watched, where half of the polls are enough for all nodes: Consul wakes such a
// query for a change on its node only, and the answer says which service changed. So no sweep has to find it.
func (s *Source) postNodes(ctx context.Context, nodes map[string]uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := len(nodes) <= (s.polls.size()-sentinels)/2
	for node := range nodes {
		all = all && askable(node)
	}
	if !all {
		nodes = nil
	}
	before := len(s.posts)
	for node, end := range s.posts {
		if _, ok := nodes[node]; !ok {
			end()
			delete(s.posts, node)
		}
	}
	for node := range nodes {
		if s.posts[node] == nil {
			ctx, end := context.WithCancel(ctx)
			s.posts[node] = end
			s.watchNode(ctx, node)
		}
	}
	s.cool(s.hot.resize(s.room()))
	if !all && before != 0 {
		s.sweeper.demand() // for what a node told nobody any more
	}
}

// posted says whether each node is watched, and none of them in trouble.
func (s *Source) posted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for node := range s.posts {
		if s.troubles.holds("/" + postName(node)) {
			return false
		}
	}
	return len(s.posts) != 0
}

func postName(node string) string { return "services of node " + node }

// watchNode watches what is registered on a node.
func (s *Source) watchNode(ctx context.Context, node string) {
	n := &sentinel[string, entry]{
		tell: func(_ string, before, after entry) { s.suspectAll([]string{before.service, after.service}) },
		gap: func(int) time.Duration {
			return min(max(time.Duration(s.owners.size())*postGapEach, postGapMin), postGapMax)
		},
		eager: true,
	}
	watch(ctx, s, "node", postName(node),
		func(q *api.QueryOptions) (*api.CatalogNodeServiceList, *api.QueryMeta, error) {
			return s.client.Catalog().NodeServiceList(node, q)
		},
		func(body *api.CatalogNodeServiceList) map[string]entry {
			now := map[string]entry{}
			if body != nil {
				for _, i := range body.Services {
					now[i.ID] = entry{i.Service, i.ModifyIndex}
				}
			}
			return now
		}, n)
}
