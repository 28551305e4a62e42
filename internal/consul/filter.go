package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/consul/blocking"
	"github.com/isthmus-mesh/isthmus/internal/consul/detect"
	"github.com/isthmus-mesh/isthmus/internal/consul/failure"
)

// filterErrorPrefix begins the body of the response to an invalid filter expression, with status 500.
const filterErrorPrefix = "Failed to create boolean expression evaluator: "

// filterGrace is the time after the start in which an invalid filter ends isthmus, so that the operator sees the error.
// Later, the end would stop the other sources, too.
const filterGrace = 30 * time.Second

// checkFilter asks Consul whether the filter expression is valid. It waits for Consul to answer. An invalid filter is an
// error within filterGrace; later checkFilter waits for a valid one.
func (s *Source) checkFilter(ctx context.Context) error {
	if s.opts.Filter == "" {
		return nil
	}
	began, badRequests := time.Now(), 0
	var invalid error
	check := blocking.New(blocking.Spec[serviceBody]{
		Config:   s.query,
		Endpoint: "service",
		ID:       listID,
		Reads:    s.listPool,
		Polls:    s.listPool,
		Ask: func(ctx context.Context, q *api.QueryOptions) (serviceBody, *api.QueryMeta, error) {
			entries, meta, err := s.health(ctx, consulService, q, s.opts.Filter)
			if statusOf(err) == http.StatusBadRequest {
				badRequests++
			}
			err = filterError(s.opts.Filter, err, badRequests)
			if errors.Is(err, failure.ErrBadFilter) && time.Since(began) < filterGrace {
				invalid = err
				return serviceBody{}, &api.QueryMeta{LastIndex: 2}, nil // Consul has answered; this is not a failing query
			}
			return entries, meta, err
		},
		Handle: func(context.Context, serviceResponse) blocking.Action { return blocking.Action{Done: true} },
	})
	s.setFilterCheck(check)
	check.Run(ctx)
	s.setFilterCheck(nil)
	return invalid
}

// setFilterCheck registers the query that checks the filter, so that new credentials refresh it.
func (s *Source) setFilterCheck(check detect.Query) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filterCheck = check
}

// filterError returns the error of the filter expression if err is about it: Consul says so, or has rejected the request as
// bad several times.
func filterError(filter string, err error, badRequests int) error {
	var status api.StatusError
	if !errors.As(err, &status) {
		return err
	}
	_, detail, found := strings.Cut(status.Body, filterErrorPrefix)
	if !found && (status.Code != http.StatusBadRequest || badRequests < blocking.Tolerance) {
		return err
	}
	if !found {
		detail = status.Body
	}
	return fmt.Errorf("%w: %q: %s", failure.ErrBadFilter, filter, strings.TrimSpace(detail))
}

func statusOf(err error) int {
	var status api.StatusError
	if !errors.As(err, &status) {
		return 0
	}
	return status.Code
}

// filteredEntries requests the instances that match the filter. If ACLs may have reduced the response, it also requests the
// instances that do not match: Consul shows them, so the filter hides them, and no ACL does.
func (w *serviceWatch) filteredEntries(ctx context.Context, q *api.QueryOptions) (serviceBody, *api.QueryMeta, error) {
	filter := w.source.opts.Filter
	body, meta, err := w.source.health(ctx, w.name, q, filter)
	w.nonMatching = nil
	if err == nil && q.WaitIndex == 0 {
		err = w.source.markFiltered(ctx, w.name, meta, body.entries == 0)
	}
	if filter == "" || err != nil || q.WaitIndex != 0 {
		return body, meta, err
	}
	if meta.ResultsFilteredByACLs || body.entries == 0 && w.source.anonymous() {
		var others serviceBody
		others, _, err = w.source.health(ctx, w.name, q, "not ("+filter+")")
		w.nonMatching = others.nodes
	}
	return body, meta, err
}
