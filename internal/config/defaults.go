package config

import (
	"time"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Default returns the default configuration.
func Default() Config {
	return Config{
		Sources: []Source{DefaultSource()},
		Mesh: Mesh{
			Domain: "consul", ClusterDomain: "cluster.local",
			DefaultProtocol: "http", Health: passingAndWarning,
			DefaultPorts: true, NativePort: true, MaxInstances: mesh.MaxInstances,
		},
		VirtualAddresses: VirtualAddresses{IPv4: "244.0.0.0/6", Keep: Duration(24 * time.Hour)},
		DNS:              DNS{Answer: AnswerVirtual, MaxAmplification: 4, TTL: Duration(5 * time.Second), NegativeTTL: Duration(5 * time.Second)},
		Guard:            defaultGuard(),
		Limits:           defaultLimits(),
		Kubernetes: Kubernetes{
			Namespace: "consul-services", Writers: 16, RemovalGrace: Duration(time.Minute),
			LeaderElection: LeaderElection{
				Enabled:       true,
				LeaseDuration: Duration(15 * time.Second), RenewDeadline: Duration(10 * time.Second), RetryPeriod: Duration(2 * time.Second),
			},
		},
		XDS: XDS{Shards: 500, RemovalGrace: Duration(time.Minute)},
		Log: Log{Level: "info", Format: "text"},
	}
}

// DefaultSource returns the defaults of a source.
func DefaultSource() Source {
	return Source{Name: "consul", Connections: 60, Wait: Duration(5 * time.Minute)}
}
