package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/consul/client"
)

// Reasons why ACLs reduced the list. Consul marks the list as filtered, but does not name the missing right.
var (
	errNoNodes  = errors.New(`the token cannot read every node: node_prefix "" { policy = "read" } is missing`)
	errNoNames  = errors.New(`the token cannot read every service: service_prefix "" { policy = "read" } is missing`)
	errFiltered = errors.New("the list of services was filtered by ACLs")
	errNoToken  = errors.New("no token is configured, and the response is empty: a client without rights gets such a response")
)

// checkTimeout bounds requests that only explain a failure. The datacenter that manages the tokens may be unreachable while
// this one can be read.
const checkTimeout = 5 * time.Second

// self reads the token. An error does not show what the token can read; only responses of the catalog do.
func (s *Source) self(ctx context.Context) (*api.ACLToken, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	token, _, err := s.client.API.ACL().TokenReadSelf(s.query.Options(0, 0).WithContext(ctx))
	return token, err
}

// checkToken logs the token in use. It reports whether the check is complete.
func (s *Source) checkToken(ctx context.Context) bool {
	if s.client.Credentials.Token() == "" {
		return true
	}
	token, err := s.self(ctx)
	if aclsDisabled(err) {
		s.log.Info("ACLs are disabled in Consul, the token is not used")
		return true
	}
	if err != nil {
		return false
	}
	expires := "never"
	if token.ExpirationTime != nil {
		expires = token.ExpirationTime.UTC().Format(time.RFC3339)
	}
	s.log.Info("ACL token is valid", "accessor", token.AccessorID, "expires", expires)
	return true
}

func aclsDisabled(err error) bool {
	var status api.StatusError
	return errors.As(err, &status) && status.Code == http.StatusUnauthorized
}

// findMissingRight returns the right that the token lacks. Consul shows a service only if its node can be read too, so a
// request for the nodes tells which of the two rights is missing. The filter is applied after the ACLs and keeps the
// response empty.
func (s *Source) findMissingRight(ctx context.Context) error {
	if s.client.Credentials.Token() == "" {
		return errNoToken
	}
	if _, err := s.self(ctx); err != nil && !aclsDisabled(err) {
		return fmt.Errorf("the token is not valid in this datacenter: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	q := s.query.Options(0, 0)
	q.Filter = `Node == ""`
	_, meta, err := s.client.API.Catalog().Nodes(q.WithContext(ctx))
	if err == nil && !reportsFilter(meta) {
		var rights client.Rights
		rights, err = s.rights(ctx, "")
		meta.ResultsFilteredByACLs = !rights.Nodes
	}
	switch {
	case err != nil:
		return errFiltered
	case meta.ResultsFilteredByACLs:
		return errNoNodes
	default:
		return errNoNames
	}
}
