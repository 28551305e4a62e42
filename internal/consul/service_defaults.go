package consul

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/consul/blocking"
	"github.com/isthmus-mesh/isthmus/internal/consul/client"
	"github.com/isthmus-mesh/isthmus/internal/consul/failure"
)

const (
	// defaultsPath lists the config entries of the kind service-defaults.
	defaultsPath = "/v1/config/service-defaults"
	// defaultsID is the ID of the query for failure.Tracker.
	defaultsID = "/service_defaults"
	// defaultsGrace is how long the initial sync waits for config entries that cannot be read.
	defaultsGrace = 30 * time.Second
)

// defaultsEntry is the part of a config entry that the source reads. A service of another namespace or partition can have an
// entry with the same name.
type defaultsEntry struct {
	Name      string
	Protocol  string
	Namespace string
	Partition string
}

// defaultsWatch follows the protocols in the service-defaults of Consul.
type defaultsWatch struct {
	*blocking.Query[map[string]string]
	source *Source
	pool   *client.Pool
	// protocols are the accepted protocols by the name of the service in lower case. Only the query uses them.
	protocols map[string]string
	// body is the last accepted response. It lacks the entries that ACLs hide. Only the query uses it.
	body map[string]string
	// hidden means that the last read may be empty because the client has no rights. Only the query uses it.
	hidden bool
	// failingSince is the time of the first failure before a response was accepted. Only the query uses it.
	failingSince time.Time
	// settled means that the initial sync does not wait for the entries. Source.mu guards it.
	settled bool
}

func newDefaultsWatch(s *Source) *defaultsWatch {
	w := &defaultsWatch{source: s, pool: client.NewPool(1, s.client.NewTransport)}
	w.Query = blocking.New(blocking.Spec[map[string]string]{
		Config:    s.query,
		Endpoint:  "config",
		ID:        defaultsID,
		Reads:     w.pool,
		Polls:     w.pool,
		Wait:      func() time.Duration { return blocking.Jitter(min(s.opts.Wait, s.opts.watchWait)) },
		Ask:       w.ask,
		Handle:    w.handle,
		Changed:   func(body map[string]string) bool { return !maps.Equal(body, w.body) },
		Entries:   func(body map[string]string) int { return len(body) },
		OnFailure: w.onFailure,
	})
	return w
}

// ask requests the entries. It returns the protocols by the name of the service in lower case: Consul ignores the case.
func (w *defaultsWatch) ask(ctx context.Context, q *api.QueryOptions) (map[string]string, *api.QueryMeta, error) {
	var entries []defaultsEntry
	meta, err := w.source.client.API.Raw().Query(defaultsPath, &entries, q.WithContext(ctx))
	if err != nil {
		return nil, nil, err
	}
	protocols := map[string]string{}
	for _, e := range entries {
		other := e.Namespace != "" && e.Namespace != "default" || e.Partition != "" && e.Partition != "default"
		if e.Protocol != "" && !other {
			protocols[strings.ToLower(e.Name)] = e.Protocol
		}
	}
	if q.WaitIndex == 0 {
		w.hidden = len(entries) == 0 && w.source.anonymous() && !w.source.hasRights(ctx)
	}
	if len(entries) == 0 && meta.LastIndex == 1 {
		meta.LastIndex = 2 // Consul 1.8 answers 1 until the first config entry exists
	}
	return protocols, meta, nil
}

// handle applies the protocols. An entry that is missing is gone only if a read confirms it and no ACL can have hidden it.
func (w *defaultsWatch) handle(_ context.Context, r blocking.Response[map[string]string]) blocking.Action {
	next := maps.Clone(r.Body)
	action := blocking.Action{Accept: true}
	if loses := w.addMissing(next); loses {
		switch {
		case r.RequestIndex != 0:
			return blocking.Action{} // a read confirms it
		case r.Meta.ResultsFilteredByACLs:
			action.Reason, action.Err = failure.Filtered, errors.New("config entries are missing and the response was filtered by ACLs")
		case w.hidden:
			return blocking.Reject(w.source.query, failure.Anonymous, errNoToken)
		default:
			next = maps.Clone(r.Body)
		}
	}
	w.body, w.protocols = r.Body, next
	w.settle(next)
	return action
}

// addMissing adds the known entries that a response lacks. It reports whether there are any.
func (w *defaultsWatch) addMissing(next map[string]string) (loses bool) {
	for name, protocol := range w.protocols {
		if next[name] == "" {
			next[name] = protocol
			loses = true
		}
	}
	return loses
}

// hasRights reports whether the client has rights. A client without rights gets an empty response that is not marked, also for
// the list of services, which is never empty for a client with rights.
func (s *Source) hasRights(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	list, _, err := s.readList(ctx, s.query.Options(0, 0))
	return err == nil && !list.empty()
}

// onFailure lets the initial sync continue without entries that cannot be read.
func (w *defaultsWatch) onFailure(failure.Reason, error) bool {
	if w.failingSince.IsZero() {
		w.failingSince = time.Now()
	}
	if time.Since(w.failingSince) >= defaultsGrace {
		w.settle(w.protocols)
	}
	return true
}

// settle applies the protocols and ends the wait of the initial sync.
func (w *defaultsWatch) settle(protocols map[string]string) {
	s := w.source
	s.selector.setProtocols(protocols)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !w.settled {
		w.settled = true
		s.reportSynced()
	}
}

// awaitsDefaults reports whether the initial sync waits for config entries. Source.mu is held.
func (s *Source) awaitsDefaults() bool { return s.defaults != nil && !s.defaults.settled }
