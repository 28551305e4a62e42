package consul

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/consul/client"
)

// aclsDisabledFor is how long the source does not ask for its rights after Consul said that ACLs are disabled. Consul must
// restart before they are enabled.
const aclsDisabledFor = time.Minute

// reportsFilter reports whether the Consul that sent a response marks responses that ACLs reduced. Consul does so since
// 1.11. It names the backend of a query, in each response, since 1.12.
func reportsFilter(meta *api.QueryMeta) bool {
	return meta.ResultsFilteredByACLs || meta.QueryBackend != ""
}

// markFiltered marks a response as filtered if Consul does not do so and the token cannot read every node and
// the service in question, which is empty for the list of all. It asks for the rights after the response, so rights that were lost before the response are noticed. Without an
// answer the response cannot be used: what is missing in it may only be hidden. No Consul marks an empty response to a
// client that it treats as anonymous.
func (s *Source) markFiltered(ctx context.Context, service string, meta *api.QueryMeta, empty bool) error {
	if reportsFilter(meta) || empty && s.anonymous() {
		return nil
	}
	rights, err := s.rights(ctx, service)
	if err != nil {
		return fmt.Errorf("find out whether ACLs reduced the response, which Consul reports since 1.11: %w", err)
	}
	meta.ResultsFilteredByACLs = !rights.All()
	return nil
}

// rights returns the rights of the token in use for a service, or for all if the name is empty. If ACLs are disabled, these are all rights.
func (s *Source) rights(ctx context.Context, service string) (client.Rights, error) {
	all := client.Rights{Nodes: true, Services: true}
	if at := s.aclsDisabledAt.Load(); at != nil && time.Since(*at) < aclsDisabledFor {
		return all, nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	rights, err := s.client.Rights(ctx, s.query.Options(0, 0), service)
	if aclsDisabled(err) {
		now := time.Now()
		s.aclsDisabledAt.Store(&now)
		return all, nil
	}
	return rights, err
}
