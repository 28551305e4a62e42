package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/hashicorp/consul/api"
)

// authorizePath is the endpoint that tells a client its own rights. Consul has it since 1.5, for its user interface.
const authorizePath = "/v1/internal/acl/authorize"

// Rights are the rights that a response of the catalog needs: to read every node, and to read the services in question.
type Rights struct{ Nodes, Services bool }

// All reports whether a response is complete with these rights.
func (r Rights) All() bool { return r.Nodes && r.Services }

// authorization is the question whether a client has a right, and the answer of Consul.
type authorization struct {
	Resource, Access string
	// Segment is a name. Only a rule for every name matches the empty one.
	Segment string
	// Allow is the answer. Consul refuses a question with it.
	Allow bool `json:",omitempty"`
}

// Rights returns the rights of the token in the options, for one service, or for every service if the name is empty. An
// earlier request must have had a response. If ACLs are disabled, the error is an api.StatusError with the code 401.
func (c *Client) Rights(ctx context.Context, q *api.QueryOptions, service string) (Rights, error) {
	last := c.router.lastURL.Load()
	if last == nil {
		return Rights{}, errors.New("no address of Consul is known")
	}
	prefix, _, _ := strings.Cut(last.Path, "/v1/")
	target := url.URL{Scheme: last.Scheme, Host: last.Host, Path: prefix + authorizePath}
	if q.Datacenter != "" {
		target.RawQuery = url.Values{"dc": {q.Datacenter}}.Encode()
	}
	body, err := json.Marshal([]authorization{{Resource: "node", Access: "read"}, {Resource: "service", Access: "read", Segment: service}})
	if err != nil {
		return Rights{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return Rights{}, err
	}
	if q.Token != "" {
		req.Header.Set(tokenHeader, q.Token)
	}
	resp, err := c.router.RoundTrip(req)
	if err != nil {
		return Rights{}, err
	}
	return rightsOf(resp)
}

func rightsOf(resp *http.Response) (Rights, error) {
	var answers []authorization
	if resp.StatusCode != http.StatusOK {
		var detail bytes.Buffer
		_, err := detail.ReadFrom(resp.Body)
		return Rights{}, errors.Join(api.StatusError{Code: resp.StatusCode, Body: detail.String()}, err, resp.Body.Close())
	}
	err := errors.Join(json.NewDecoder(resp.Body).Decode(&answers), resp.Body.Close())
	if err == nil && len(answers) != 2 {
		err = fmt.Errorf("%d answers to 2 questions", len(answers))
	}
	if err != nil {
		return Rights{}, fmt.Errorf("%s: %w", authorizePath, err)
	}
	return Rights{Nodes: answers[0].Allow, Services: answers[1].Allow}, nil
}
