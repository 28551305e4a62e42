package xds

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"
	mcp "istio.io/api/mcp/v1alpha1"

	"github.com/isthmus-mesh/isthmus/internal/testutil"
)

// client is a client of the state-of-the-world protocol that behaves like istiod.
type client struct {
	t      *testing.T
	stream discovery.AggregatedDiscoveryService_StreamAggregatedResourcesClient

	mu sync.Mutex
	// responses are all responses that the client received.
	responses []*discovery.DiscoveryResponse
	// failure is the error that ended the stream.
	failure error
	// mute makes the client acknowledge nothing.
	mute bool
	// reject makes the client reject each response with this message.
	reject string
}

// connect opens a stream and requests types. The credentials are nil for plain text.
func connect(t *testing.T, address string, creds credentials.TransportCredentials, types ...string) *client {
	t.Helper()
	c := &client{t: t}
	c.stream = dial(t, address, creds)
	c.receive()
	c.request(types...)
	return c
}

func (c *client) request(types ...string) {
	for _, typeURL := range types {
		// istiod invents a nonce for its first requests.
		c.send(&discovery.DiscoveryRequest{TypeUrl: typeURL, Node: &core.Node{Id: "istiod-0"}, ResponseNonce: "invented"})
	}
}

func dial(t *testing.T, address string, creds credentials.TransportCredentials) discovery.AggregatedDiscoveryService_StreamAggregatedResourcesClient {
	t.Helper()
	stream, err := open(t, address, creds)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func open(t *testing.T, address string, creds credentials.TransportCredentials) (discovery.AggregatedDiscoveryService_StreamAggregatedResourcesClient, error) {
	return discovery.NewAggregatedDiscoveryServiceClient(connection(t, address, creds)).StreamAggregatedResources(t.Context())
}

func connection(t *testing.T, address string, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	if creds == nil {
		creds = insecure.NewCredentials()
	}
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32))) // istiod takes as much
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

func (c *client) send(request *discovery.DiscoveryRequest) {
	_ = c.stream.Send(request) // Recv returns the error of the stream
}

// receive receives and acknowledges responses until the stream ends.
func (c *client) receive() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			response, err := c.stream.Recv()
			if err != nil {
				c.mu.Lock()
				c.failure = err
				c.mu.Unlock()
				return
			}
			c.handle(response)
		}
	}()
	c.t.Cleanup(func() { <-done })
}

func (c *client) handle(response *discovery.DiscoveryResponse) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.responses = append(c.responses, response)
	request := &discovery.DiscoveryRequest{
		TypeUrl: response.GetTypeUrl(), VersionInfo: response.GetVersionInfo(), ResponseNonce: response.GetNonce(),
	}
	if c.reject != "" {
		request.VersionInfo, request.ErrorDetail = "", &status.Status{Message: c.reject}
	}
	if !c.mute {
		c.send(request)
	}
}

// count returns the number of responses of a type.
func (c *client) count(typeURL string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	count := 0
	for _, response := range c.responses {
		if response.GetTypeUrl() == typeURL {
			count++
		}
	}
	return count
}

// resources returns the versions of the resources of a type by name, as of the latest response; nil before the first one.
func (c *client) resources(typeURL string) map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var versions map[string]string
	for _, response := range c.responses {
		if response.GetTypeUrl() != typeURL {
			continue
		}
		versions = map[string]string{}
		for _, wire := range response.GetResources() {
			metadata := decodeWire(c.t, wire).GetMetadata()
			versions[metadata.GetName()] = metadata.GetVersion()
		}
	}
	return versions
}

func decodeWire(t *testing.T, wire *anypb.Any) *mcp.Resource {
	t.Helper()
	resource := &mcp.Resource{}
	if err := wire.UnmarshalTo(resource); err != nil {
		t.Error(err)
	}
	return resource
}

// received returns all responses in order.
func (c *client) received() []*discovery.DiscoveryResponse {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.responses)
}

func (c *client) failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}

// await waits until the client has exactly these resources of a type.
func (c *client) await(typeURL string, names ...string) {
	c.t.Helper()
	testutil.Eventually(c.t, func() error {
		versions := c.resources(typeURL)
		complete := versions != nil && len(versions) == len(names)
		for _, name := range names {
			complete = complete && versions[name] != ""
		}
		if !complete {
			return fmt.Errorf("the client has %v of %s, want %v", versions, typeURL, names)
		}
		return nil
	})
}
