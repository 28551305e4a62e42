package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"reflect"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

const (
	// doubts is how often an empty answer to nobody's token is asked again before it is a trouble.
	doubts     = 3
	doubtPause = time.Second
)

// errUnaskable is a name that Consul's HTTP server refuses or turns into another path.
var errUnaskable = errors.New("the name can't be a part of a URL's path")

// service watches the instances of one service.
type service struct {
	loop[[]*api.ServiceEntry]
	name string
	// last is what was reported last.
	last catalog.Service
	// hidden says that the last read without an index was filtered; streamed answers don't say so.
	hidden bool
	// doubted counts empty answers that may be due to a lack of rights, lost the polls that told a loss since
	// a read confirmed one, refused the requests that Consul called bad; each in a row.
	doubted, lost, refused int
	told, settled          bool
	// unfit are the instances that the last answer without an index showed not to fit the filter.
	unfit []*api.ServiceEntry
	// first says that it is of the first list, and no request of it was answered yet.
	first bool

	// hot says that it may hold a poll, warmed that it has just become so.
	hot    atomic.Bool
	warmed chan struct{}
	// heated is when it changed last, in Unix nanoseconds; 0 for never.
	heated atomic.Int64
	// known is the index of what is known, seen the newest one that a probe saw since; guarded by the loop's mu.
	known, seen uint64
}

func newService(s *Source, name string) *service {
	w := &service{name: name, warmed: make(chan struct{}, 1), last: catalog.Service{Key: catalog.Key{Source: s.opts.Name, Name: name}}}
	w.last.Datacenter = s.opts.Datacenter
	w.loop = loop[[]*api.ServiceEntry]{
		source:   s,
		endpoint: "service",
		holder:   name,
		reads:    s.reads,
		polls:    s.polls,
		hold:     w.whenHot,
		wait:     func() time.Duration { return jitter(s.opts.Wait) },
		ask:      w.entries,
		take:     w.take,
		differs: func(body []*api.ServiceEntry) bool {
			return !reflect.DeepEqual(w.convert(body).Instances, w.last.Instances)
		},
		learn:  w.learned,
		failed: w.failed,
		wake:   make(chan struct{}, 1),
	}
	return w
}

func (w *service) entries(ctx context.Context, q *api.QueryOptions) ([]*api.ServiceEntry, *api.QueryMeta, error) {
	if w.first {
		w.first = false
		defer w.source.asked()
	}
	if !askable(w.name) {
		return nil, nil, errUnaskable
	}
	entries, meta, err := w.filtered(ctx, q)
	var status api.StatusError
	if !errors.As(err, &status) || status.Code != http.StatusBadRequest {
		w.refused = 0
		return entries, meta, err
	}
	// Once may be a proxy's mood, and to leave a service out for that would remove it from the mesh.
	if w.refused++; w.refused >= patience {
		err = fmt.Errorf("%w: %w", errUnaskable, err)
	}
	return entries, meta, err
}

// askable says whether a request for the service arrives: Go's HTTP server, and so Consul's, cleans a path
// of "..", "." and double slashes and answers for what is left. Consul refuses what can't be printed.
func askable(name string) bool {
	return path.Clean("/"+name) == strings.TrimSuffix("/"+name, "/") &&
		!strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

func (w *service) convert(body []*api.ServiceEntry) catalog.Service {
	s := convert(w.last.Key, w.source.opts.Datacenter, body)
	if s.Datacenter == "" {
		s.Datacenter = w.last.Datacenter
	}
	return s
}

// take reports an answer. It takes instances away only by a read without an index whose gaps nobody's
// rights have made.
func (w *service) take(_ context.Context, a answer[[]*api.ServiceEntry]) outcome {
	if w.dropped() {
		return outcome{done: true}
	}
	next := w.convert(a.body)
	if a.sent == 0 {
		w.hidden = a.meta.ResultsFilteredByACLs
	}
	loss := loses(w.last, next)
	if loss && a.sent != 0 {
		return w.verify()
	}
	if len(a.body) == 0 && len(w.unfit) == 0 && w.source.anonymous() && w.source.isListed(w.name) {
		return w.doubt()
	}
	w.doubted = 0
	if loss || a.sent != 0 {
		w.lost = 0
	}
	if w.hidden {
		return w.takePart(next, a)
	}
	w.report(next, a.at)
	w.source.hot.admit(w)
	w.settleOnce()
	if len(next.Instances) == 0 && w.source.leave(w.name) {
		return outcome{done: true}
	}
	return outcome{used: true}
}

// verify has a loss confirmed by a read without an index, at once unless such reads have denied it over and over.
func (w *service) verify() outcome {
	w.lost++
	if w.lost <= patience {
		return outcome{}
	}
	return outcome{pause: delay(unheld, w.lost-patience)}
}

// doubt is an empty answer to what may be nobody's token: a lost right looks just so, and is not marked. It is believed
// once the list, which is never empty, doesn't hold the name.
func (w *service) doubt() outcome {
	w.doubted++
	if w.doubted < doubts {
		return outcome{pause: jitter(doubtPause)}
	}
	w.unread()
	w.settleOnce()
	return refuse(w.source, anonymous, errors.New("a listed service has no instances: somebody without rights sees that"))
}

// report hands on what changed, and has those services read again that lost an instance to this one.
func (w *service) report(next catalog.Service, at time.Time) {
	if reflect.DeepEqual(next, w.last) || w.settled && addsNothing(next, w.last) {
		return
	}
	last := w.last
	w.last = next
	if w.settled { // the first answer is no change
		w.source.heat(w)
	}
	w.source.log.Debug("the service changed", "service", w.name, "instances", len(next.Instances))
	w.source.sink.Update(next, at)
	w.source.moved(last, next)
}

// failed lets a start go on without a service that can't be read, and names one that can't be asked for, once.
func (w *service) failed(r reason, err error) bool {
	if w.dropped() {
		return false
	}
	switch {
	case w.settled:
	case r == unaskable:
		w.unread()
	case r == tooLarge:
		w.unread()
		w.source.excuse(w.name)
	case w.failures >= patience:
		w.unread()
		w.source.refusal(w.name)
	}
	if r != unaskable {
		return true
	}
	if !w.told {
		w.told = true
		w.source.log.Warn("a service is left out, because Consul can't be asked for it by its name: "+
			"register it under another one", "service", w.name, "said", w.source.troubles.clean(err))
	}
	w.settleOnce()
	return len(w.last.Instances) != 0 || !w.source.leave(w.name)
}

func (w *service) settleOnce() {
	if !w.settled {
		w.settled = true
		w.source.settled(w.name)
	}
}
