package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/consul/api"
)

// badFilter begins what Consul says of a wrong filter expression, with status 500.
const badFilter = "Failed to create boolean expression evaluator: "

// checkFilter asks Consul whether it understands the filter expression, and waits for a Consul that doesn't answer. An
// error is for the user to mend.
func (s *Source) checkFilter(ctx context.Context) error {
	if s.opts.Filter == "" {
		return nil
	}
	var wrong error
	check := loop[[]*api.ServiceEntry]{
		source:   s,
		endpoint: "service",
		reads:    s.listPool,
		polls:    s.listPool,
		ask: func(ctx context.Context, q *api.QueryOptions) ([]*api.ServiceEntry, *api.QueryMeta, error) {
			entries, meta, err := s.health(ctx, own, q, s.opts.Filter)
			if wrong = filterError(s.opts.Filter, err); wrong != nil {
				return nil, &api.QueryMeta{LastIndex: 2}, nil // it is an answer, and no trouble with Consul
			}
			return entries, meta, err
		},
		take: func(context.Context, answer[[]*api.ServiceEntry]) outcome { return outcome{done: true} },
		wake: make(chan struct{}, 1),
	}
	check.run(ctx)
	return wrong
}

// filterError returns what is wrong with the filter expression, nil for other errors.
func filterError(filter string, err error) error {
	var status api.StatusError
	if !errors.As(err, &status) {
		return nil
	}
	_, said, found := strings.Cut(status.Body, badFilter)
	if !found && status.Code != http.StatusBadRequest {
		return nil
	}
	if !found {
		said = status.Body
	}
	return fmt.Errorf("services.filter %q is refused by Consul: %s", filter, strings.TrimSpace(said))
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
	if meta.ResultsFilteredByACLs || len(entries) == 0 && w.source.anonymous(meta) {
		w.unfit, _, err = w.source.health(ctx, w.name, q, "not ("+filter+")")
	}
	return entries, meta, err
}
