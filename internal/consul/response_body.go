package consul

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/consul/client"
	"github.com/isthmus-mesh/isthmus/internal/consul/jsonstream"
)

// serviceBody is the response for a service. Its entries were converted one by one.
type serviceBody struct {
	catalog.Service
	// entries is the number of entries, of other kinds and of other names too.
	entries int
	// nodes are the nodes of the entries of the service, in lower case.
	nodes []string
	// sidecars are the transparent proxies of the entries, sorted and unique.
	sidecars []sidecar
}

// health requests the instances of a service that match a filter.
func (s *Source) health(ctx context.Context, name string, q *api.QueryOptions, filter string) (serviceBody, *api.QueryMeta, error) {
	reader := &serviceReader{source: s, ctx: ctx, converter: newConverter(catalog.Key{Source: s.opts.Name, Name: name}, s.opts.Datacenter, s.opts.AddressTag)}
	q = q.WithContext(client.WithBody(ctx, client.Body{Read: reader.read}))
	q.Filter = filter
	_, meta, err := s.client.API.Health().Service(name, "", false, q)
	return serviceBody{
		Service: reader.converter.finish(), entries: reader.entries, nodes: reader.nodes, sidecars: unionOfSidecars(reader.sidecars, nil),
	}, meta, err
}

// serviceReader decodes and converts the entries of a response one by one: the decoded form of all entries can be a hundred
// times as large as the response.
type serviceReader struct {
	source    *Source
	ctx       context.Context
	converter converter
	entries   int
	nodes     []string
	sidecars  []sidecar
}

func (r *serviceReader) read(body io.Reader) error {
	slot, err := r.source.decoding.begin(r.ctx)
	if err != nil {
		return err
	}
	defer slot.end()
	limits := r.source.opts.Limits
	return jsonstream.Elements(body, limits.elements(), func(element []byte, size int64) error {
		if err := slot.use(r.ctx, r.converter.bytes+size); err != nil {
			return err
		}
		if err := r.add(element); err != nil {
			return err
		}
		if r.converter.bytes > limits.ResponseBytes {
			return &jsonstream.LimitError{What: "the decoded size of the service", Limit: limits.ResponseBytes}
		}
		return nil
	})
}

func (r *serviceReader) add(element []byte) error {
	var entry *api.ServiceEntry
	if err := json.Unmarshal(element, &entry); err != nil {
		return fmt.Errorf("%w: %w", jsonstream.ErrInvalid, err)
	}
	r.entries++
	if entry != nil && entry.Node != nil && entry.Service != nil && entry.Service.Service == r.converter.service.Name {
		r.nodes = append(r.nodes, strings.ToLower(entry.Node.Node))
	}
	r.sidecars = append(r.sidecars, sidecarsOf(r.converter.service.Name, []*api.ServiceEntry{entry})...)
	r.converter.add(entry)
	return nil
}
