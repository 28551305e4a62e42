package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// badFilter begins what Consul says of a wrong filter expression, with status 500.
const badFilter = "Failed to create boolean expression evaluator: "

// filterGrace is how long after the start a wrong filter ends it, so that whoever started isthmus sees it. Later it would
// end what other sources do well.
const filterGrace = 30 * time.Second

// errFilter is a filter that Consul refuses.
var errFilter = errors.New("services.filter is refused by Consul")

// checkFilter asks Consul whether it understands the filter expression, and waits for a Consul that doesn't answer. An
// error is for the user to mend; it waits for that where the start is long over.
func (s *Source) checkFilter(ctx context.Context) error {
	if s.opts.Filter == "" {
		return nil
	}
	began, refused := time.Now(), 0
	var wrong error
	check := &loop[[]*api.ServiceEntry]{
		source:   s,
		endpoint: "service",
		reads:    s.listPool,
		polls:    s.listPool,
		ask: func(ctx context.Context, q *api.QueryOptions) ([]*api.ServiceEntry, *api.QueryMeta, error) {
			entries, meta, err := s.health(ctx, own, q, s.opts.Filter)
			if statusOf(err) == http.StatusBadRequest {
				refused++
			}
			err = filterError(s.opts.Filter, err, refused)
			if errors.Is(err, errFilter) && time.Since(began) < filterGrace {
				wrong = err
				return nil, &api.QueryMeta{LastIndex: 2}, nil // it is an answer, and no trouble with Consul
			}
			return entries, meta, err
		},
		take: func(context.Context, answer[[]*api.ServiceEntry]) outcome { return outcome{done: true} },
		wake: make(chan struct{}, 1),
	}
	s.checking(check)
	check.run(ctx)
	s.checking(nil)
	return wrong
}

// checking has the filter's check asked again with new credentials.
func (s *Source) checking(check sentry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sentries[filterHolder] = check; check == nil {
		delete(s.sentries, filterHolder)
	}
}

// filterError says what is wrong with the filter expression, if an error is about that: Consul says so, or has called the
// request a bad one over and over.
func filterError(filter string, err error, refused int) error {
	var status api.StatusError
	if !errors.As(err, &status) {
		return err
	}
	_, said, found := strings.Cut(status.Body, badFilter)
	if !found && (status.Code != http.StatusBadRequest || refused < patience) {
		return err
	}
	if !found {
		said = status.Body
	}
	return fmt.Errorf("%w: %q: %s", errFilter, filter, strings.TrimSpace(said))
}

func statusOf(err error) int {
	var status api.StatusError
	if !errors.As(err, &status) {
		return 0
	}
	return status.Code
}

func (s *Source) health(ctx context.Context, name string, q *api.QueryOptions, filter string) ([]*api.ServiceEntry, *api.QueryMeta, error) {
	q = q.WithContext(ctx)
	q.Filter = filter
	return s.client.Health().Service(name, "", false, q)
}

// filtered asks for the instances that fit the filter. Where rights may have cut the answer, it asks for those that
// don't fit too: what Consul shows there is hidden by the filter, and by no ACL.
func (w *service) filtered(ctx context.Context, q *api.QueryOptions) ([]*api.ServiceEntry, *api.QueryMeta, error) {
	filter := w.source.opts.Filter
	entries, meta, err := w.source.health(ctx, w.name, q, filter)
	w.unfit = nil
	if filter == "" || err != nil || q.WaitIndex != 0 {
		return entries, meta, err
	}
	if meta.ResultsFilteredByACLs || len(entries) == 0 && w.source.anonymous() {
		w.unfit, _, err = w.source.health(ctx, w.name, q, "not ("+filter+")")
	}
	return entries, meta, err
}
