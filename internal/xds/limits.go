package xds

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/isthmus-mesh/isthmus/internal/connlimit"
)

// limits bound the resources that clients use. An istiod uses one connection with one stream.
type limits struct {
	// connections bounds the open connections. A connection is established once it has an authorized stream.
	connections connlimit.Limits
	// streams is the number of streams of a connection.
	streams uint32
	// request is the size of a request in bytes. The largest request is the first one of a delta client that comes from
	// another replica: it names each resource that the client has.
	request int
	// handshake is how long the TLS and HTTP/2 handshakes of a connection may take.
	handshake time.Duration
	// idle is how long a connection without a stream stays open.
	idle time.Duration
	// keepalive is how long a connection may be silent before the server sends a ping.
	keepalive time.Duration
	// keepaliveTimeout is how long the server waits for the answer to a ping before it closes the connection.
	keepaliveTimeout time.Duration
	// minPingInterval is how often a client may send a ping. istiod sends one every 30 s.
	minPingInterval time.Duration
	// age is how long a connection with a client certificate stays open. The client then has to show a certificate that is
	// still trusted. It loses no resources by reconnecting.
	age time.Duration
	// ageGrace is how long the streams of such a connection have to end.
	ageGrace time.Duration
}

const maxRequest = 16 << 20

func defaultLimits() limits {
	return limits{
		connections: connlimit.Limits{Total: 64, PerClient: 16}, streams: 2, request: maxRequest,
		handshake: 10 * time.Second, idle: time.Minute,
		keepalive: 30 * time.Second, keepaliveTimeout: 10 * time.Second, minPingInterval: 5 * time.Second,
		age: 30 * time.Minute, ageGrace: 10 * time.Second,
	}
}

// options returns the options of a gRPC server with these limits. The age applies if clients have certificates.
func (l limits) options(certificates bool) []grpc.ServerOption {
	params := keepalive.ServerParameters{Time: l.keepalive, Timeout: l.keepaliveTimeout, MaxConnectionIdle: l.idle}
	if certificates {
		params.MaxConnectionAge, params.MaxConnectionAgeGrace = l.age, l.ageGrace
	}
	return []grpc.ServerOption{
		grpc.MaxConcurrentStreams(l.streams), grpc.MaxRecvMsgSize(l.request), grpc.ConnectionTimeout(l.handshake),
		grpc.KeepaliveParams(params),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: l.minPingInterval, PermitWithoutStream: true}),
	}
}
