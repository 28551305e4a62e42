package consul

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// own is the service of the Consul servers themselves; it is no part of the mesh.
	own = "consul"
	// A list of ten thousand names costs Consul 0.1 s of CPU, and every registration anywhere changes
	// it: it is asked once for each 0.1 ms a name, between these bounds.
	listGapForName = 100 * time.Microsecond
	listGapMin     = 50 * time.Millisecond
	listGapMax     = time.Second
	// A query with an index of before a snapshot was restored is only answered when its wait is over. The
	// list stands guard for all services, so its own is short.
	listWait = time.Minute
)

// list watches the names of all services.
type list struct {
	loop[map[string][]string]
	names map[string]bool
	// tags are each service's, in one text.
	tags map[string]string
	last uint64
	// checked and proven are the editions of the credentials that were looked at, and that have read the list.
	checked, proven int
	// lacks is why the last answer was cut by ACLs.
	lacks error
}

func newList(s *Source) *list {
	l := &list{}
	l.loop = loop[map[string][]string]{
		source:   s,
		endpoint: "services",
		reads:    s.listPool,
		polls:    s.listPool,
		wait:     func() time.Duration { return jitter(min(s.opts.Wait, listWait)) },
		ask:      l.services,
		take:     l.take,
		differs:  func(body map[string][]string) bool { return !maps.Equal(s.selected(namesOf(body)), l.names) },
		wake:     make(chan struct{}, 1),
	}
	return l
}

// take hands on the names. Consul's own service is in every list, so an empty one is what somebody without rights sees,
// and no content. That the answer doesn't say so means nothing: an agent knows its own ACL policy only, which
// counts neither on a server nor in another datacenter.
func (l *list) take(ctx context.Context, a answer[map[string][]string]) outcome {
	s := l.source
	if len(a.body) == 0 && a.meta.ResultsFilteredByACLs {
		return refuse(s, filtered, l.lacks)
	}
	if len(a.body) == 0 {
		return refuse(s, anonymous, l.lacks)
	}
	whole := !a.meta.ResultsFilteredByACLs
	if s.mustBeRead(whole, a.sent) {
		return outcome{}
	}
	names := s.selected(namesOf(a.body))
	s.open(ctx, len(names))
	was := s.troubles.reason(l.holder)
	recovered := was != none && (whole || was != filtered)
	l.names = names
	s.follow(ctx, l.names, whole)
	s.weigh(recovered)
	l.guard(a)
	switch {
	case a.meta.LastIndex < l.last, l.woken && a.meta.LastIndex != l.last:
		s.resync()
	case recovered:
		s.retry()
	}
	if l.proven != 0 && l.proven != a.edition {
		s.renew()
	}
	l.proven = a.edition
	l.last, l.woken = a.meta.LastIndex, false
	o := outcome{used: true, pause: listGap(len(l.names)) - a.took}
	if a.meta.ResultsFilteredByACLs {
		o.reason, o.err = filtered, l.lacks
	}
	return o
}

// guard has the cold services read that the list shows to have changed. That it changed is all it says of most
// changes; the sweeper finds out whose they are.
func (l *list) guard(a answer[map[string][]string]) {
	before := l.tags
	l.tags = make(map[string]string, len(a.body))
	var changed []string
	for name, tags := range a.body {
		slices.Sort(tags) // Consul's order is random
		l.tags[name] = strings.Join(tags, "\x00")
		if old, ok := before[name]; ok && old != l.tags[name] {
			changed = append(changed, name)
		}
	}
	s := l.source
	s.suspectAll(changed)
	if a.meta.LastIndex != l.last && s.isGuarded() {
		// What comes at once may be several changes, of which only the last one's index is told.
		s.sweeper.woken(a.meta.LastIndex, a.sent != 0 && a.took > listGap(len(l.names))/2)
	}
}

// refuse is an answer that was cut to what the token may see, so that its gaps mean nothing.
func refuse(s *Source, r reason, err error) outcome {
	s.metrics.discarded.WithLabelValues(string(r)).Inc()
	return outcome{reason: r, err: err}
}

func listGap(names int) time.Duration {
	return min(max(time.Duration(names)*listGapForName, listGapMin), listGapMax)
}

// namesOf returns the names that are watched. The map is never changed afterwards.
func namesOf(body map[string][]string) map[string]bool {
	names := make(map[string]bool, len(body))
	for name := range body {
		if name != own {
			names[name] = true
		}
	}
	return names
}
