// Package consul is a source of the catalog: it reads one Consul datacenter, first completely and then each change.
//
// One blocking query follows the list of services, and one more follows each service (package blocking). If there are fewer
// connections than services, only the services that changed last have a query, and package detect finds the changes of the
// others. An error, a timeout or a response that cannot be true never removes anything (package failure). An instance is
// removed only after a request without an index confirmed it.
//
// Locks: Source.mu is acquired before selector.mu and before the locks of detect, blocking, client and failure. selector.mu is
// acquired before those of the sink.
package consul

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/consul/blocking"
	"github.com/isthmus-mesh/isthmus/internal/consul/client"
	"github.com/isthmus-mesh/isthmus/internal/consul/detect"
	"github.com/isthmus-mesh/isthmus/internal/consul/failure"
	"github.com/isthmus-mesh/isthmus/internal/filewatch"
)

const (
	defaultConnections = 60
	// minConnections is one connection for the list, one for reads and one for polls.
	minConnections = 3
	defaultWait    = 5 * time.Minute
)

// Detection of dead connections. Tests use shorter times.
var pingAfter, pingTimeout = client.DefaultPingAfter, client.DefaultPingTimeout

// Options configures a Source.
type Options struct {
	// Name is the name of the source in the catalog, in logs and in metrics.
	Name string
	// Config has the address of Consul, the credentials and the TLS settings. It is copied. Its HttpClient and Transport are
	// not used, because the source bounds its connections. An empty token or TLS setting means none: unlike Consul's API
	// client, the source does not complete it from the environment.
	Config *api.Config
	// Datacenter is the datacenter to read; empty for that of the agent.
	Datacenter string
	// Connections is the largest number of connections to Consul; 0 means 60. Consul allows 200 from one client address by
	// default (limits.http_max_conns_per_client). Over plain HTTP a request in flight takes a connection. Over HTTPS with
	// HTTP/2 a connection carries 100 requests, or up to 200 if the server allows it and there are many services.
	Connections int
	// Wait is how long Consul may hold a blocking query; 0 means 5 minutes, the maximum is 8. Each query's own wait is up to a
	// fifth longer or shorter.
	Wait time.Duration
	// Selection decides which services and instances are reported; Source.Select changes it.
	Selection Selection
	// Filter is an expression in Consul's filter language that each instance must match; empty matches all.
	Filter string
	// AddressTag is the key of the tagged address that instances have, if it exists; empty for the normal address.
	AddressTag string
	// ServiceDefaults reads the protocols of services from Consul's config entries of the kind service-defaults. It takes one of
	// the connections.
	ServiceDefaults bool
	// Limits bounds the memory and the work of the source.
	Limits Limits
	// Logger is the log of the source; nil for none.
	Logger *slog.Logger
	// Metrics has the metrics of the source; nil for none.
	Metrics *Metrics

	// pollFiles is the interval at which credential files are read; 0 means filewatch.Interval.
	pollFiles time.Duration
	// verifyAfter is detect.Config.VerifyAfter; 0 means detect.DefaultVerifyAfter.
	verifyAfter time.Duration
	// watchWait bounds the wait of the list and of the watches of package detect; 0 means maxWatchWait.
	watchWait time.Duration
}

// Source reports the content of one Consul datacenter.
type Source struct {
	opts     Options
	log      *slog.Logger
	metrics  sourceMetrics
	failures *failure.Tracker
	client   *client.Client
	// query is shared by all blocking queries.
	query *blocking.Config
	// decoding bounds the responses that are decoded at the same time.
	decoding decoding
	// selector is the sink of the source. It forwards to the sink of Run.
	selector *selector
	// group has the goroutines that Run waits for.
	group sync.WaitGroup

	// listPool has the connection of the list.
	listPool *client.Pool
	// opened is closed when reads, polls and detector are set.
	opened chan struct{}
	// reads bounds the requests without an index. They never wait for polls.
	reads *client.Pool
	// polls bounds the requests that Consul holds.
	polls *client.Pool
	// detector finds changes if there are fewer connections than services.
	detector *detect.Detector
	// streamsKnown means that the server was asked how many requests may share a connection. It is used by the list only.
	streamsKnown bool
	// preferences is closed by the first Prefer.
	preferences chan struct{}
	// aclsDisabledAt is when a Consul that does not mark filtered responses last said that ACLs are disabled.
	aclsDisabledAt atomic.Pointer[time.Time]
	// listFailed is closed when the list fails for the first time.
	listFailed chan struct{}

	// mu guards the fields below. See the package comment for its place in the lock order.
	mu sync.Mutex
	// list is the query of the list of services; nil before Run.
	list *catalogWatch
	// defaults is the query of the config entries; nil if they are not read, or before Run.
	defaults *defaultsWatch
	// listed are the names in the newest list; see listing.names.
	listed map[string]uint64
	// waiting is the number of services in the newest list that the source has no room for.
	waiting int
	// admitting means that the list is read again for services that wait.
	admitting bool
	// preferred are the services that are read first, see Prefer.
	preferred map[string]bool
	// services are the services that are followed, by name.
	services map[string]*serviceWatch
	// filterCheck is the query that checks the filter; nil while none runs.
	filterCheck detect.Query
	// resyncedAt is when everything was last read again because Consul had another state.
	resyncedAt time.Time
	// sync is the progress of the initial sync.
	sync *initialSync
	// connectedSince is since when Connected succeeds; zero if it does not.
	connectedSince time.Time
}

// New returns a source that has not asked Consul anything. It fails if the options are invalid: no name, no configuration, an
// unreadable TLS file or token file.
func New(opts Options) (*Source, error) {
	switch {
	case opts.Name == "":
		return nil, errors.New("consul: the source needs a name")
	case opts.Config == nil:
		return nil, errors.New("consul: the source needs a configuration of the Consul client")
	case opts.Connections != 0 && opts.Connections < minConnections:
		return nil, fmt.Errorf("consul: connections is %d, it must be %d or more", opts.Connections, minConnections)
	case opts.ServiceDefaults && opts.Connections == minConnections:
		return nil, fmt.Errorf("consul: connections is %d, it must be %d or more to read service-defaults", opts.Connections, minConnections+1)
	case opts.Wait < 0 || opts.Wait > client.MaxWait:
		return nil, fmt.Errorf("consul: wait is %s, it must be between 0 and %s", opts.Wait, client.MaxWait)
	}
	if err := checkEnterprise(opts.Config); err != nil {
		return nil, err
	}
	opts.setDefaults()
	c, err := client.New(client.Options{
		Config: opts.Config, MaxBytes: opts.Limits.ResponseBytes, PingAfter: pingAfter, PingTimeout: pingTimeout,
	})
	if err != nil {
		return nil, fmt.Errorf("consul: %w", err)
	}
	return newSource(opts, c), nil
}

func (o *Options) setDefaults() {
	if o.Connections == 0 {
		o.Connections = defaultConnections
	}
	if o.Wait == 0 {
		o.Wait = defaultWait
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	o.Limits.setDefaults()
	if o.pollFiles == 0 {
		o.pollFiles = filewatch.Interval
	}
	if o.verifyAfter == 0 {
		o.verifyAfter = detect.DefaultVerifyAfter
	}
	if o.watchWait == 0 {
		o.watchWait = maxWatchWait
	}
}

func newSource(opts Options, c *client.Client) *Source {
	s := &Source{
		opts:        opts,
		log:         opts.Logger.With("source", opts.Name),
		metrics:     opts.Metrics.of(opts.Name),
		client:      c,
		selector:    newSelector(opts.Selection),
		decoding:    newDecoding(opts.Limits.LargeReads),
		opened:      make(chan struct{}),
		listFailed:  make(chan struct{}),
		preferences: make(chan struct{}),
		listed:      map[string]uint64{},
		services:    map[string]*serviceWatch{},
		sync:        newInitialSync(),
	}
	s.selector.held = opts.ServiceDefaults
	s.failures = failure.NewTracker(s.log, s.metrics.failing, c.Credentials.Secrets)
	s.query = &blocking.Config{
		Base: s.baseOptions, Version: c.Credentials.Version, Rotated: s.rotated, Failures: s.failures,
		Requests: s.metrics.requests, Rejected: s.metrics.rejected, LastAnswer: s.metrics.lastAnswer,
		Pacer: blocking.NewPacer(s.log, s.metrics.delayed),
	}
	return s
}

// Name returns the name of the source.
func (s *Source) Name() string { return s.opts.Name }

// Run reports the whole content to the sink, then each change, until ctx ends; then it returns nil. It retries errors without
// limit and never reports one as a removal. It returns an error only if the filter is invalid at the start. It may be called
// once.
func (s *Source) Run(ctx context.Context, sink catalog.Sink) error {
	s.selector.open(sink)
	s.listPool = client.NewPool(1, s.client.NewTransport)
	defer func() {
		for _, p := range []*client.Pool{s.listPool, s.reads, s.polls} {
			p.CloseIdle()
		}
	}()
	s.mu.Lock()
	s.list = newCatalogWatch(s)
	if s.opts.ServiceDefaults {
		s.defaults = newDefaultsWatch(s)
		defer s.defaults.pool.CloseIdle()
	}
	s.mu.Unlock()
	ctx, stop := context.WithCancel(ctx)
	defer s.group.Wait()
	defer stop()
	s.group.Go(func() { s.watchFiles(ctx) })
	if err := s.checkFilter(ctx); err != nil {
		return err
	}
	if s.defaults != nil {
		s.group.Go(func() { s.defaults.Run(ctx) })
	}
	s.list.Run(ctx)
	return nil
}

// baseOptions returns the options of each request: the datacenter and the token in use.
func (s *Source) baseOptions() *api.QueryOptions {
	return &api.QueryOptions{Datacenter: s.opts.Datacenter, Token: s.client.Credentials.Token()}
}

// anonymous reports whether Consul may treat requests as those of a client without a token. If such a client has no rights, it
// gets status 200 and an empty body that is not marked as filtered. A token that is local to one datacenter is dropped on the
// way to another.
func (s *Source) anonymous() bool {
	return s.client.Credentials.Token() == "" || s.opts.Datacenter != ""
}
