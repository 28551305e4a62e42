package mcp

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

// FuzzRequests holds that whatever a client asks and acknowledges, in whatever order, and whatever changes meanwhile,
// nothing panics or waits for it, and that each answer is whole: none before everything is known, and then as many
// resources as its version says.
func FuzzRequests(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 0, 255, 0, 0, 0, 1, 1})
	f.Add([]byte{3, 2, 2, 255, 9, 9, 1, 1, 5, 255, 1, 1, 0, 1, 9})
	f.Fuzz(func(t *testing.T, steps []byte) {
		s := newStore()
		client := &unruly{t: t, store: s, steps: steps}
		watcher := &observer{
			log: slog.New(slog.DiscardHandler), metrics: NewMetrics(prometheus.NewRegistry()), peers: map[int64]string{},
		}
		server := xds.NewServer(t.Context(), s, watcher.callbacks(), quietLog(watcher.log)...)
		_ = server.StreamAggregatedResources(client) // it ends as the client has it end
		s.publish(nil, nil)
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.watches) != 0 {
			t.Errorf("%d watches outlive their stream", len(s.watches))
		}
	})
}

// unruly is the server's end of a stream of which the client does what a fuzzer says. Three bytes are a step.
type unruly struct {
	grpc.ServerStream
	t     *testing.T
	store *store
	steps []byte
}

func (u *unruly) Context() context.Context { return u.t.Context() }

func (u *unruly) Recv() (*discovery.DiscoveryRequest, error) {
	for len(u.steps) >= 3 {
		what, version, how := u.steps[0], u.steps[1], u.steps[2]
		u.steps = u.steps[3:]
		if what == 255 {
			label := fmt.Sprint("s", version%4)
			r, err := encode(webEntry(label, fmt.Sprint("10.0.0.", how)))
			if err != nil {
				u.t.Fatal(err)
			}
			if how%5 == 0 {
				u.store.publish(nil, []*resource{r})
			} else {
				u.store.publish([]*resource{r}, nil)
			}
			continue
		}
		types := []string{entryType, workloadType, "core/v1alpha1/MeshConfig", "", "networking.istio.io//ServiceEntry", entryType + "/x"}
		request := &discovery.DiscoveryRequest{
			TypeUrl: types[int(what)%len(types)], VersionInfo: strconv.Itoa(int(version)), ResponseNonce: strconv.Itoa(int(how)),
		}
		if how%2 == 0 {
			request.ErrorDetail = &status.Status{Message: strings.Repeat("no", int(version))}
		}
		if how == 77 {
			request.ResourceNames = []string{"ns/s1.consul"}
		}
		return request, nil
	}
	return nil, io.EOF
}

func (u *unruly) Send(answer *discovery.DiscoveryResponse) error {
	kind, ours := kinds[answer.GetTypeUrl()]
	count, _, _ := strings.Cut(answer.GetVersionInfo(), "-")
	if count != strconv.Itoa(len(answer.GetResources())) {
		u.t.Errorf("%d resources of %s in version %s", len(answer.GetResources()), kind, answer.GetVersionInfo())
	}
	u.store.mu.Lock()
	defer u.store.mu.Unlock()
	if ours && !u.store.open {
		u.t.Errorf("%s were told before all of them were known", kind)
	}
	return nil
}
