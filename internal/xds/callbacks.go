package xds

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	controlplane "github.com/envoyproxy/go-control-plane/pkg/log"
	"github.com/envoyproxy/go-control-plane/pkg/server/config"
	"github.com/envoyproxy/go-control-plane/pkg/server/sotw/v3"
	xds "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/peer"
)

// otherKinds labels figures of types that we have nothing of.
const otherKinds = "other"

// longestWords is how much of what a client says gets into the log, in bytes.
const longestWords = 2000

// observer reports what the clients do.
type observer struct {
	log     *slog.Logger
	metrics *Metrics

	mu sync.Mutex
	// streams are those that are open. Both protocols count theirs from 1: those of delta are negative here.
	streams map[int64]*asking
}

func newObserver(log *slog.Logger, metrics *Metrics) *observer {
	return &observer{log: log, metrics: metrics, streams: map[int64]*asking{}}
}

func (o *observer) callbacks() xds.Callbacks {
	return xds.CallbackFuncs{
		StreamOpenFunc: func(ctx context.Context, id int64, _ string) error { return o.opened(ctx, id) },
		StreamClosedFunc: func(id int64, node *core.Node) {
			o.closed(id, node)
		},
		StreamRequestFunc: func(id int64, r *discovery.DiscoveryRequest) error {
			o.asked(id, r.GetNode(), r.GetTypeUrl(), r.GetErrorDetail())
			return o.refuse(id, o.stream(id).admit(r))
		},
		StreamResponseFunc: func(_ context.Context, _ int64, _ *discovery.DiscoveryRequest, r *discovery.DiscoveryResponse) {
			o.metrics.pushes.WithLabelValues(kindLabel(r.GetTypeUrl())).Inc()
		},
		DeltaStreamOpenFunc:   func(ctx context.Context, id int64, _ string) error { return o.opened(ctx, -id) },
		DeltaStreamClosedFunc: func(id int64, node *core.Node) { o.closed(-id, node) },
		StreamDeltaRequestFunc: func(id int64, r *discovery.DeltaDiscoveryRequest) error {
			o.asked(-id, r.GetNode(), r.GetTypeUrl(), r.GetErrorDetail())
			return o.refuse(-id, o.stream(-id).admitDelta(r))
		},
		StreamDeltaResponseFunc: func(_ int64, _ *discovery.DeltaDiscoveryRequest, r *discovery.DeltaDiscoveryResponse) {
			o.metrics.pushes.WithLabelValues(kindLabel(r.GetTypeUrl())).Inc()
		},
	}
}

func (o *observer) opened(ctx context.Context, id int64) error {
	address := "unknown"
	if from, ok := peer.FromContext(ctx); ok {
		address = from.Addr.String()
	}
	o.mu.Lock()
	o.streams[id] = &asking{address: address, types: map[string]bool{}}
	o.mu.Unlock()
	o.metrics.clients.Inc()
	o.log.Info("an istiod connected", "address", address)
	return nil
}

func (o *observer) closed(id int64, node *core.Node) {
	o.metrics.clients.Dec()
	o.log.Info("an istiod disconnected", "address", o.stream(id).address, "node", clip(node.GetId()))
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.streams, id)
}

// stream returns what a stream asked for. Nobody but its own goroutine changes that.
func (o *observer) stream(id int64) *asking {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.streams[id]
}

// refuse reports a request that ends its stream.
func (o *observer) refuse(id int64, why error) error {
	if why != nil {
		o.log.Warn("a client asked for what it can't have, and was sent away", "address", o.stream(id).address, "error", why)
	}
	return why
}

// asked reports a request that rejects what was sent before.
func (o *observer) asked(id int64, node *core.Node, typeURL string, rejection *status.Status) {
	if rejection == nil {
		return
	}
	o.metrics.rejections.WithLabelValues(kindLabel(typeURL)).Inc()
	o.log.Error("an istiod rejected what it was sent, and goes on with what it had", "address", o.stream(id).address,
		"node", clip(node.GetId()), "type", clip(typeURL), "error", clip(rejection.GetMessage()))
}

// kindLabel keeps the number of series small, whatever a client asks for.
func kindLabel(typeURL string) string {
	if kind, ours := kinds[typeURL]; ours {
		return string(kind)
	}
	return otherKinds
}

func clip(words string) string {
	if len(words) > longestWords {
		return words[:longestWords] + "…"
	}
	return words
}

// quietLog has the library's own log show at level debug only.
func quietLog(log *slog.Logger) []config.XDSOption {
	debug := func(format string, args ...any) { log.Debug(fmt.Sprintf(format, args...)) }
	return []config.XDSOption{sotw.WithLogger(controlplane.LoggerFuncs{
		DebugFunc: debug, InfoFunc: debug, WarnFunc: debug, ErrorFunc: debug,
	})}
}
