package detect

import (
	"log/slog"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/consul/blocking"
	"github.com/isthmus-mesh/isthmus/internal/consul/client"
)

// Config configures a Detector.
type Config struct {
	// Query is shared with the other queries of the source.
	Query *blocking.Config
	// API sends the requests.
	API *api.Client
	// Reads bounds the index queries.
	Reads *client.Pool
	// Polls bounds the polls of services and watches.
	Polls *client.Pool
	// Log is the log of the source.
	Log *slog.Logger
	// MaxStaleness shows the upper bound of the detection delay.
	MaxStaleness prometheus.Gauge
	// Wait is how long Consul may hold a poll.
	Wait time.Duration
	// WatchWait is how long Consul may hold the poll of a watch.
	WatchWait time.Duration
	// VerifyAfter is the minimum time between a scan and the scan that verifies attributions.
	VerifyAfter time.Duration
	// ListPause is the pause between two polls of a list of so many services.
	ListPause func(services int) time.Duration
	// Synced reports whether the initial sync is complete.
	Synced func() bool
	// Go runs a function in a goroutine that the source waits for.
	Go func(func())
}
