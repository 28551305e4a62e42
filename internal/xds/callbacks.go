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

// otherKind is the metric label of types that are not served.
const otherKind = "other"

// maxLogged is how much of a text from a client is logged, in bytes.
const maxLogged = 2000

// streamCallbacks validates the requests on each stream and reports the events of the streams.
type streamCallbacks struct {
	log     *slog.Logger
	metrics *Metrics

	// mu guards streams. It is a leaf: no other lock is acquired while it is held.
	mu sync.Mutex
	// streams holds the open streams by ID. Both protocols number their streams from 1: delta streams have negative IDs here.
	streams map[int64]*streamState
}

func newStreamCallbacks(log *slog.Logger, metrics *Metrics) *streamCallbacks {
	return &streamCallbacks{log: log, metrics: metrics, streams: map[int64]*streamState{}}
}

// funcs returns the callbacks in the form of go-control-plane.
func (c *streamCallbacks) funcs() xds.Callbacks {
	return xds.CallbackFuncs{
		StreamOpenFunc:   func(ctx context.Context, id int64, _ string) error { return c.opened(ctx, id) },
		StreamClosedFunc: func(id int64, node *core.Node) { c.closed(id, node) },
		StreamRequestFunc: func(id int64, r *discovery.DiscoveryRequest) error {
			c.reportRejection(id, r.GetNode(), r.GetTypeUrl(), r.GetErrorDetail())
			return c.reportInvalid(id, c.stream(id).validate(r))
		},
		StreamResponseFunc: func(_ context.Context, _ int64, _ *discovery.DiscoveryRequest, r *discovery.DiscoveryResponse) {
			c.metrics.pushes.WithLabelValues(kindLabel(r.GetTypeUrl())).Inc()
		},
		DeltaStreamOpenFunc:   func(ctx context.Context, id int64, _ string) error { return c.opened(ctx, -id) },
		DeltaStreamClosedFunc: func(id int64, node *core.Node) { c.closed(-id, node) },
		StreamDeltaRequestFunc: func(id int64, r *discovery.DeltaDiscoveryRequest) error {
			c.reportRejection(-id, r.GetNode(), r.GetTypeUrl(), r.GetErrorDetail())
			return c.reportInvalid(-id, c.stream(-id).validateDelta(r))
		},
		StreamDeltaResponseFunc: func(_ int64, _ *discovery.DeltaDiscoveryRequest, r *discovery.DeltaDiscoveryResponse) {
			c.metrics.pushes.WithLabelValues(kindLabel(r.GetTypeUrl())).Inc()
		},
	}
}

func (c *streamCallbacks) opened(ctx context.Context, id int64) error {
	address := "unknown"
	if from, ok := peer.FromContext(ctx); ok {
		address = from.Addr.String()
	}
	c.mu.Lock()
	c.streams[id] = &streamState{address: address, types: map[string]bool{}}
	c.mu.Unlock()
	c.metrics.clients.Inc()
	c.log.Info("xDS client connected", "client", address)
	return nil
}

func (c *streamCallbacks) closed(id int64, node *core.Node) {
	c.metrics.clients.Dec()
	c.log.Info("xDS client disconnected", "client", c.stream(id).address, "node", truncate(node.GetId()))
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.streams, id)
}

// stream returns the state of a stream. Only the goroutine of the stream uses it.
func (c *streamCallbacks) stream(id int64) *streamState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams[id]
}

// reportInvalid logs the error of an invalid request, which ends its stream.
func (c *streamCallbacks) reportInvalid(id int64, err error) error {
	if err != nil {
		c.log.Warn("invalid xDS request, closing the stream", "client", c.stream(id).address, "error", err)
	}
	return err
}

// reportRejection logs and counts a request that rejects the previous response.
func (c *streamCallbacks) reportRejection(id int64, node *core.Node, typeURL string, rejection *status.Status) {
	if rejection == nil {
		return
	}
	c.metrics.rejections.WithLabelValues(kindLabel(typeURL)).Inc()
	c.log.Error("xDS client rejected a response, it keeps the resources it has", "client", c.stream(id).address,
		"node", truncate(node.GetId()), "kind", truncate(typeURL), "error", truncate(rejection.GetMessage()))
}

// kindLabel returns the metric label of a type. Types that are not served share one label, so a client cannot add series.
func kindLabel(typeURL string) string {
	if kind, served := kindOfType[typeURL]; served {
		return string(kind)
	}
	return otherKind
}

// truncate shortens a text from a client.
func truncate(text string) string {
	if len(text) > maxLogged {
		return text[:maxLogged] + "…"
	}
	return text
}

// debugLog logs the messages of go-control-plane at level debug.
func debugLog(log *slog.Logger) []config.XDSOption {
	debug := func(format string, args ...any) {
		log.Debug("message of go-control-plane", "reason", fmt.Sprintf(format, args...))
	}
	return []config.XDSOption{sotw.WithLogger(controlplane.LoggerFuncs{
		DebugFunc: debug, InfoFunc: debug, WarnFunc: debug, ErrorFunc: debug,
	})}
}
