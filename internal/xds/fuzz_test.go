package xds

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	xds "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
)

// FuzzRequests verifies that no sequence of requests, acknowledgments and changes makes the server panic or block, in either
// protocol. Each response is complete: none is sent before the initial sync, and each has as many resources as its version
// states. A stream receives responses for at most maxTypes types.
func FuzzRequests(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 0, 255, 0, 0, 0, 1, 1})
	f.Add([]byte{3, 2, 2, 255, 9, 9, 1, 1, 5, 255, 1, 1, 0, 1, 9})
	f.Add([]byte{255, 1, 1, 0, 0, 77, 1, 1, 1, 255, 2, 5, 0, 1, 1, 1, 0, 99})
	var many []byte
	for n := range byte(100) {
		many = append(many, manyTypes, n, 1)
	}
	f.Add(many)
	f.Fuzz(func(t *testing.T, steps []byte) {
		for _, delta := range []bool{false, true} {
			s := newStore()
			client := &fuzzStream{t: t, store: s, steps: steps, types: map[string]bool{}}
			callbacks := newStreamCallbacks(slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry()))
			server := xds.NewServer(t.Context(), s, callbacks.funcs(), debugLog(callbacks.log)...)
			if delta { // the error is that of the fuzzed client
				_ = server.DeltaAggregatedResources(fuzzDeltaStream{fuzzStream: client})
			} else {
				_ = server.StreamAggregatedResources(client)
			}
			s.publish(nil, nil)
			if len(s.waiting) != 0 || len(callbacks.streams) != 0 {
				t.Errorf("%d watches and %d streams are left after the stream ended", len(s.waiting), len(callbacks.streams))
			}
			if len(client.types) > maxTypes {
				t.Errorf("%d types were answered, want at most 64", len(client.types))
			}
		}
	})
}

// manyTypes is the first action byte that requests one of 256 types that are not served.
const manyTypes = 200

// fuzzStream is the server side of a stream whose client is a fuzzer. Three bytes are one step: the action and two arguments.
type fuzzStream struct {
	grpc.ServerStream
	t     *testing.T
	store *store
	steps []byte
	// types are the types that were answered.
	types map[string]bool
}

func (f *fuzzStream) Context() context.Context { return f.t.Context() }

func (f *fuzzStream) Recv() (*discovery.DiscoveryRequest, error) {
	typeURL, version, how, err := f.next()
	if err != nil {
		return nil, err
	}
	request := &discovery.DiscoveryRequest{
		TypeUrl: typeURL, VersionInfo: strconv.Itoa(version), ResponseNonce: strconv.Itoa(how), ErrorDetail: rejection(version, how),
	}
	if how == 77 {
		request.ResourceNames = []string{"ns/s1.consul"}
	}
	return request, nil
}

// next executes steps until one is a request.
func (f *fuzzStream) next() (typeURL string, version, how int, err error) {
	for len(f.steps) >= 3 {
		action, version, how := f.steps[0], f.steps[1], f.steps[2]
		f.steps = f.steps[3:]
		if action == 255 {
			f.change(version, how)
			continue
		}
		types := []string{entryType, workloadType, "core/v1alpha1/MeshConfig", "", "networking.istio.io//ServiceEntry", entryType + "/x"}
		typeURL := types[int(action)%len(types)]
		if action >= manyTypes {
			typeURL = fmt.Sprint("type-", version)
		}
		return typeURL, int(version), int(how), nil
	}
	return "", 0, 0, io.EOF
}

// change publishes or removes a resource.
func (f *fuzzStream) change(number, how byte) {
	r, err := encode(webEntry(fmt.Sprint("s", number%4), fmt.Sprint("10.0.0.", how)))
	if err != nil {
		f.t.Fatal(err)
	}
	if how%5 == 0 {
		f.store.publish(nil, []*resource{r})
	} else {
		f.store.publish([]*resource{r}, nil)
	}
}

// rejection returns the error of a request; nil for even arguments.
func rejection(version, how int) *status.Status {
	if how%2 == 0 {
		return &status.Status{Message: strings.Repeat("no", version)}
	}
	return nil
}

func (f *fuzzStream) Send(response *discovery.DiscoveryResponse) error {
	count, _, _ := strings.Cut(response.GetVersionInfo(), "-")
	if count != strconv.Itoa(len(response.GetResources())) {
		f.t.Errorf("%d resources of %s, the version is %s", len(response.GetResources()), response.GetTypeUrl(), response.GetVersionInfo())
	}
	f.answered(response.GetTypeUrl())
	return nil
}

func (f *fuzzStream) answered(typeURL string) {
	f.types[typeURL] = true
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	if kind, served := kindOfType[typeURL]; served && !f.store.complete {
		f.t.Errorf("%s were sent before the initial sync", kind)
	}
}

// fuzzDeltaStream is a fuzzStream of the delta protocol.
type fuzzDeltaStream struct{ *fuzzStream }

func (f fuzzDeltaStream) Recv() (*discovery.DeltaDiscoveryRequest, error) {
	typeURL, version, how, err := f.next()
	if err != nil {
		return nil, err
	}
	request := &discovery.DeltaDiscoveryRequest{TypeUrl: typeURL, ErrorDetail: rejection(version, how)}
	switch how % 8 {
	case 1:
		request.ResponseNonce = strconv.Itoa(version)
	case 3:
		request.InitialResourceVersions = map[string]string{fmt.Sprintf("ns/s%d.consul", version%6): "old"}
	case 5:
		request.ResourceNamesSubscribe, request.ResourceNamesUnsubscribe = []string{"*"}, []string{"*"}
	case 7:
		request.ResourceNamesSubscribe = []string{fmt.Sprint("ns/s", version)}
	}
	return request, nil
}

func (f fuzzDeltaStream) Send(response *discovery.DeltaDiscoveryResponse) error {
	f.answered(response.GetTypeUrl())
	return nil
}
