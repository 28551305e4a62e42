package consul

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

const (
	// sentinels is how many queries watch the cold services, besides the list.
	sentinels = 3
	// Each answer of a sentinel costs Consul a look at all that it watches, so the pause after it grows with that.
	healthGapMin  = 200 * time.Millisecond
	healthGapMax  = 5 * time.Second
	healthGapEach = 500 * time.Microsecond
	nodesGapMin   = time.Second
	nodesGapMax   = 30 * time.Second
	nodesGapEach  = time.Millisecond
)

// A sentinel is a query whose change says which services to read. What it says is never reported itself.
type sentinel[K comparable, V comparable] struct {
	last map[K]V
	// tell has the services read that a changed entry belongs to.
	tell func(key K, before, after V)
	gap  func(entries int) time.Duration
	// taken is told each answer; nil for nobody.
	taken func(now map[K]V)
	// eager says that it asks again at once after an answer that told nothing: its index moves with what it doesn't
	// watch too, and a query with an older one would be answered at once over and over.
	eager bool
}

// take tells what differs from the last answer. What changed before the first one is for a sweep.
func (n *sentinel[K, V]) take(s *Source, name string, now map[K]V) outcome {
	told := n.last != nil && !maps.Equal(n.last, now)
	if n.last == nil {
		s.sweeper.demand()
	}
	if told {
		n.compare(now)
	}
	n.last = now
	if n.taken != nil {
		n.taken(now)
	}
	gap := n.gap(len(now))
	if n.eager && !told {
		return outcome{used: true}
	}
	s.sweeper.sentinelGap(name, gap)
	return outcome{used: true, pause: jitter(gap)}
}

func (n *sentinel[K, V]) compare(now map[K]V) {
	for key, before := range n.last {
		if after, ok := now[key]; !ok || after != before {
			n.tell(key, before, after)
		}
	}
	for key, after := range now {
		if _, ok := n.last[key]; !ok {
			n.tell(key, after, after)
		}
	}
}

// A checkKey names a health check; a checkMark is what counts of it. Its output doesn't.
type (
	checkKey  struct{ partition, namespace, node, check string }
	checkMark struct{ service, serviceID, kind string }
)

// watchHealth watches the checks of one status.
func (s *Source) watchHealth(ctx context.Context, status string) {
	n := &sentinel[checkKey, checkMark]{
		tell: func(key checkKey, before, after checkMark) {
			s.suspectCheck(key.node, before)
			s.suspectCheck(key.node, after)
		},
		gap: func(checks int) time.Duration {
			return min(max(time.Duration(checks)*healthGapEach, healthGapMin), healthGapMax)
		},
	}
	watch(ctx, s, "checks", status+" checks",
		func(q *api.QueryOptions) (api.HealthChecks, *api.QueryMeta, error) {
			return s.client.Health().State(status, q)
		},
		func(body api.HealthChecks) map[checkKey]checkMark {
			now := make(map[checkKey]checkMark, len(body))
			for _, c := range body {
				key := checkKey{c.Partition, c.Namespace, strings.ToLower(c.Node), c.CheckID}
				now[key] = checkMark{c.ServiceName, c.ServiceID, c.Type}
			}
			return now
		}, n)
}

// watchNodes watches the nodes' addresses and meta.
func (s *Source) watchNodes(ctx context.Context) {
	n := &sentinel[string, uint64]{
		tell:  func(node string, _, _ uint64) { s.suspectAll(s.owners.at(node, "")) },
		taken: func(nodes map[string]uint64) { s.postNodes(ctx, nodes) },
		gap: func(nodes int) time.Duration {
			return min(max(time.Duration(nodes)*nodesGapEach, nodesGapMin), nodesGapMax)
		},
	}
	watch(ctx, s, "nodes", "nodes",
		func(q *api.QueryOptions) ([]*api.Node, *api.QueryMeta, error) { return s.client.Catalog().Nodes(q) },
		func(body []*api.Node) map[string]uint64 {
			now := make(map[string]uint64, len(body))
			for _, node := range body {
				now[strings.ToLower(node.Node)] += node.ModifyIndex // nodes of several partitions may share a name
			}
			return now
		}, n)
}

// watch runs a sentinel until ctx ends. The source's lock is held.
func watch[T any, K, V comparable](ctx context.Context, s *Source, endpoint, name string,
	ask func(*api.QueryOptions) (T, *api.QueryMeta, error), marks func(T) map[K]V, n *sentinel[K, V],
) {
	l := &loop[T]{
		source:   s,
		endpoint: endpoint,
		holder:   "/" + name, // no service's name that can be asked for begins so
		reads:    s.polls,    // in a slot of its own, whatever the reads of services do
		polls:    s.polls,
		wait:     s.sentinelWait,
		ask: func(ctx context.Context, q *api.QueryOptions) (T, *api.QueryMeta, error) {
			return ask(q.WithContext(ctx))
		},
		take:    func(_ context.Context, a answer[T]) outcome { return n.take(s, name, marks(a.body)) },
		differs: func(body T) bool { return !maps.Equal(marks(body), n.last) },
		wake:    make(chan struct{}, 1),
	}
	s.sentries[l.holder] = l
	s.group.Go(func() {
		l.run(ctx)
		s.retire(l.holder, name, l)
	})
}

// retire forgets a query that has ended, unless another one has its place by now.
func (s *Source) retire(holder, name string, q sentry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sentries[holder] == q {
		delete(s.sentries, holder)
		s.troubles.clear(holder)
		s.sweeper.forgetGap(name)
	}
}

// sentinelWait is short where the sentinels have to take turns.
func (s *Source) sentinelWait() time.Duration {
	if s.polls.size() < sentinels {
		return jitter(shortWait)
	}
	return jitter(min(s.opts.Wait, listWait))
}

// suspectCheck has the services read that a check is about: a node's check is about all on the node. The name in a
// check may be an old one, so the owner of the instance counts first.
func (s *Source) suspectCheck(node string, c checkMark) {
	names := s.owners.at(node, c.serviceID)
	if len(names) == 0 && c.service != "" {
		names = []string{c.service}
	}
	s.suspectAll(names)
}

func (s *Source) suspectAll(names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if w := s.watchers[name]; w != nil {
			w.suspect()
		}
	}
}
