package xds

import (
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
)

// client is a client of state of the world that does as istiod does.
type client struct {
	t      *testing.T
	stream discovery.AggregatedDiscoveryService_StreamAggregatedResourcesClient

	mu sync.Mutex
	// answers are all that came; failure is how it ended.
	answers []*discovery.DiscoveryResponse
	failure error
	// mute has it acknowledge nothing; reject has it reject with these words.
	mute   bool
	reject string
}

// connect opens a stream; creds are nil for plain text.
func connect(t *testing.T, address string, creds credentials.TransportCredentials, types ...string) *client {
	t.Helper()
	c := &client{t: t}
	c.stream = dial(t, address, creds)
	c.receive()
	c.ask(types...)
	return c
}

func (c *client) ask(types ...string) {
	for _, typeURL := range types {
		// istiod makes up a nonce for its first requests.
		c.send(&discovery.DiscoveryRequest{TypeUrl: typeURL, Node: &core.Node{Id: "istiod-0"}, ResponseNonce: "made up"})
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
	_ = c.stream.Send(request) // how a stream ended, Recv tells
}

// receive takes answers, and acknowledges them, until the stream ends.
func (c *client) receive() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			answer, err := c.stream.Recv()
			if err != nil {
				c.mu.Lock()
				c.failure = err
				c.mu.Unlock()
				return
			}
			c.take(answer)
		}
	}()
	c.t.Cleanup(func() { <-done })
}

func (c *client) take(answer *discovery.DiscoveryResponse) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers = append(c.answers, answer)
	request := &discovery.DiscoveryRequest{
		TypeUrl: answer.GetTypeUrl(), VersionInfo: answer.GetVersionInfo(), ResponseNonce: answer.GetNonce(),
	}
	if c.reject != "" {
		request.VersionInfo, request.ErrorDetail = "", &status.Status{Message: c.reject}
	}
	if !c.mute {
		c.send(request)
	}
}

// count returns how many answers of a type came.
func (c *client) count(typeURL string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	count := 0
	for _, answer := range c.answers {
		if answer.GetTypeUrl() == typeURL {
			count++
		}
	}
	return count
}

// holds returns what the client has of a type after its last answer, versions by name; nil before the first.
func (c *client) holds(typeURL string) map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var held map[string]string
	for _, answer := range c.answers {
		if answer.GetTypeUrl() != typeURL {
			continue
		}
		held = map[string]string{}
		for _, wire := range answer.GetResources() {
			metadata := read(c.t, wire).GetMetadata()
			held[metadata.GetName()] = metadata.GetVersion()
		}
	}
	return held
}

func read(t *testing.T, wire *anypb.Any) *mcp.Resource {
	t.Helper()
	read := &mcp.Resource{}
	if err := wire.UnmarshalTo(read); err != nil {
		t.Error(err)
	}
	return read
}

// received returns all answers, in the order in which they came.
func (c *client) received() []*discovery.DiscoveryResponse {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.answers)
}

func (c *client) failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}

// await waits until the client holds these resources of a type, by name.
func (c *client) await(typeURL string, names ...string) {
	c.t.Helper()
	eventually(c.t, func() bool {
		held := c.holds(typeURL)
		if held == nil || len(held) != len(names) {
			return false
		}
		for _, name := range names {
			if held[name] == "" {
				return false
			}
		}
		return true
	}, "the client never had "+typeURL)
}
