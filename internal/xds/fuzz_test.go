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

// FuzzRequests holds that whatever a client asks and acknowledges, by either protocol, in whatever order, and whatever
// changes meanwhile, nothing panics or waits for it; that each answer is whole: none before everything is known, and then
// as many resources as its version says; and that it is answered no more types than a stream may ask for.
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
			client := &unruly{t: t, store: s, steps: steps, types: map[string]bool{}}
			watcher := newObserver(slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry()))
			server := xds.NewServer(t.Context(), s, watcher.callbacks(), quietLog(watcher.log)...)
			if delta { // either stream ends as the client has it end
				_ = server.DeltaAggregatedResources(unrulyDelta{unruly: client})
			} else {
				_ = server.StreamAggregatedResources(client)
			}
			s.publish(nil, nil)
			if len(s.waiting) != 0 || len(watcher.streams) != 0 {
				t.Errorf("%d watches and %d streams outlive their stream", len(s.waiting), len(watcher.streams))
			}
			if len(client.types) > maxTypes {
				t.Errorf("%d types were answered", len(client.types))
			}
		}
	})
}

// manyTypes is the first step byte that asks for a type of 256 others.
const manyTypes = 200

// unruly is the server's end of a stream of which the client does what a fuzzer says. Three bytes are a step.
type unruly struct {
	grpc.ServerStream
	t     *testing.T
	store *store
	steps []byte
	// types are those that were answered.
	types map[string]bool
}

func (u *unruly) Context() context.Context { return u.t.Context() }

func (u *unruly) Recv() (*discovery.DiscoveryRequest, error) {
	typeURL, version, how, err := u.next()
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

// next does what the steps say until one asks for something.
func (u *unruly) next() (typeURL string, version, how int, err error) {
	for len(u.steps) >= 3 {
		what, version, how := u.steps[0], u.steps[1], u.steps[2]
		u.steps = u.steps[3:]
		if what == 255 {
			u.change(version, how)
			continue
		}
		types := []string{entryType, workloadType, "core/v1alpha1/MeshConfig", "", "networking.istio.io//ServiceEntry", entryType + "/x"}
		typeURL := types[int(what)%len(types)]
		if what >= manyTypes {
			typeURL = fmt.Sprint("type-", version)
		}
		return typeURL, int(version), int(how), nil
	}
	return "", 0, 0, io.EOF
}

func (u *unruly) change(number, how byte) {
	r, err := encode(webEntry(fmt.Sprint("s", number%4), fmt.Sprint("10.0.0.", how)))
	if err != nil {
		u.t.Fatal(err)
	}
	if how%5 == 0 {
		u.store.publish(nil, []*resource{r})
	} else {
		u.store.publish([]*resource{r}, nil)
	}
}

func rejection(version, how int) *status.Status {
	if how%2 == 0 {
		return &status.Status{Message: strings.Repeat("no", version)}
	}
	return nil
}

func (u *unruly) Send(answer *discovery.DiscoveryResponse) error {
	count, _, _ := strings.Cut(answer.GetVersionInfo(), "-")
	if count != strconv.Itoa(len(answer.GetResources())) {
		u.t.Errorf("%d resources of %s in version %s", len(answer.GetResources()), answer.GetTypeUrl(), answer.GetVersionInfo())
	}
	u.answered(answer.GetTypeUrl())
	return nil
}

func (u *unruly) answered(typeURL string) {
	u.types[typeURL] = true
	u.store.mu.Lock()
	defer u.store.mu.Unlock()
	if kind, ours := kinds[typeURL]; ours && !u.store.open {
		u.t.Errorf("%s were told before all of them were known", kind)
	}
}

// unrulyDelta does the same by the delta protocol.
type unrulyDelta struct{ *unruly }

func (u unrulyDelta) Recv() (*discovery.DeltaDiscoveryRequest, error) {
	typeURL, version, how, err := u.next()
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

func (u unrulyDelta) Send(answer *discovery.DeltaDiscoveryResponse) error {
	u.answered(answer.GetTypeUrl())
	return nil
}
