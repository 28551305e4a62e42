package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/consul/api"
)

// Why the list may be cut. Consul says that it is, but not what is missing.
var (
	errNoNodes = errors.New(`the token may not read every node: node_prefix "" { policy = "read" } is missing`)
	errNoNames = errors.New(`the token may not read every service: service_prefix "" { policy = "read" } is missing`)
	errCut     = errors.New("the list of services was cut by ACLs")
	errNobody  = errors.New("no token is given, and the answer is empty: somebody without rights sees that")
)

// checkTimeout bounds what only explains: the datacenter that keeps the tokens may be out of reach while this one
// can be read.
const checkTimeout = 5 * time.Second

// services asks for the list, as loop.ask does. It looks at a token that is new first, and finds out what is missing
// where ACLs have cut the answer.
func (l *list) services(ctx context.Context, q *api.QueryOptions) (map[string][]string, *api.QueryMeta, error) {
	s := l.source
	if edition, _ := s.creds.current(); q.WaitIndex == 0 && edition != l.checked && s.checkToken(ctx) {
		l.checked = edition
	}
	body, meta, err := s.client.Catalog().Services(q.WithContext(ctx))
	if err != nil {
		return body, meta, err
	}
	cut := meta.ResultsFilteredByACLs || len(body) == 0
	switch {
	case !cut:
		l.lacks = nil
	case l.lacks == nil || q.WaitIndex == 0:
		l.lacks = s.lacking(ctx)
	}
	return body, meta, nil
}

// self asks Consul about the token. An error says nothing about what may be read: only the catalog's own answers do.
func (s *Source) self(ctx context.Context) (*api.ACLToken, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	token, _, err := s.client.ACL().TokenReadSelf(s.options(0, 0).WithContext(ctx))
	return token, err
}

// checkToken says in the log which token is used, and returns whether that is done with.
func (s *Source) checkToken(ctx context.Context) bool {
	if s.creds.token() == "" {
		return true
	}
	token, err := s.self(ctx)
	if aclsOff(err) {
		s.log.Info("Consul's ACLs are off, so the token is not needed")
		return true
	}
	if err != nil {
		return false
	}
	expires := "never"
	if token.ExpirationTime != nil {
		expires = token.ExpirationTime.UTC().Format(time.RFC3339)
	}
	s.log.Info("the ACL token is valid", "accessor", token.AccessorID, "expires", expires)
	return true
}

func aclsOff(err error) bool {
	var status api.StatusError
	return errors.As(err, &status) && status.Code == http.StatusUnauthorized
}

// lacking finds out what the token may not read. Consul shows a service only where its node may be read too, so
// the nodes tell which half is missing. The filter keeps the answer empty, and works after the ACLs have.
func (s *Source) lacking(ctx context.Context) error {
	if s.creds.token() == "" {
		return errNobody
	}
	if _, err := s.self(ctx); err != nil && !aclsOff(err) {
		return fmt.Errorf("the token doesn't count in this datacenter: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	q := s.options(0, 0)
	q.Filter = `Node == ""`
	_, meta, err := s.client.Catalog().Nodes(q.WithContext(ctx))
	switch {
	case err != nil:
		return errCut
	case meta.ResultsFilteredByACLs:
		return errNoNodes
	default:
		return errNoNames
	}
}
