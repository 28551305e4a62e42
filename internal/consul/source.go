// Package consul reads one Consul datacenter into the catalog: the whole content first, then every change.
//
// One blocking query watches the list of services and one more watches each service. Where there are fewer
// connections than services, only those that changed lately have a query (see budget), and a few more find what
// changed among the others (see sentinel, Source.postNodes and sweeper). An error, a timeout or an answer that can't
// be true never removes anything: an instance leaves only when Consul, asked without an index, answers that it is not
// there.
package consul

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/filewatch"
)

const (
	defaultConnections = 60
	// One connection lists the services, one reads and one waits.
	minConnections = 3
	defaultWait    = 5 * time.Minute
	// Consul waits 10 minutes at most; our jitter adds up to a fifth.
	maxWait = 8 * time.Minute
)

// Options say which Consul datacenter a Source reads and how.
type Options struct {
	// Name is the name of the source in the catalog, in logs and in metrics.
	Name string
	// Config says where Consul is and how to talk to it. It is copied. HttpClient and Transport in it
	// are not used, because the source bounds its own connections. An empty token or TLS setting is none: unlike
	// Consul's own client, the source doesn't take them from the environment.
	Config *api.Config
	// Datacenter is the datacenter to read; empty means the agent's own.
	Datacenter string
	// Connections is the most connections held to Consul at once; 0 means 60. Consul takes 200 from one
	// client address by default (limits.http_max_conns_per_client). Over plain HTTP a request in flight
	// takes a whole connection; over HTTPS with HTTP/2 a connection carries 100, or
	// up to 200 where the server allows it and there are many services.
	Connections int
	// Wait is how long Consul may hold a blocking query; 0 means 5 minutes, the most is 8. Every query's
	// own wait is up to a fifth longer or shorter.
	Wait time.Duration
	// Selection says what is handed on; Source.Select changes it.
	Selection Selection
	// Filter is an expression in Consul's own language, which each instance must fit; empty takes all.
	Filter string
	// Logger takes the source's log; nil means none.
	Logger *slog.Logger
	// Metrics takes the source's figures; nil means that they are kept nowhere.
	Metrics *Metrics

	// answer bounds each answer in bytes; 0 means maxAnswer.
	answer int64
	// reread is how often files are looked at; 0 means reread.Every.
	reread time.Duration
	// quiet is how long after a sweep at least the next one looks behind explanations; 0 means quietGapMin.
	quiet time.Duration
}

// Source reports what one Consul datacenter holds.
type Source struct {
	opts     Options
	log      *slog.Logger
	metrics  sourceMetrics
	troubles *troubles
	client   *api.Client
	creds    *credentials

	transport func(connections int) http.RoundTripper
	router    *router
	listPool  *pool
	// reads answer at once, polls are held by Consul: they never wait for each other's slots.
	reads, polls *pool

	owners  *owners
	hot     *budget
	sweeper *sweeper
	sink    catalog.Sink
	// widened says that the server was asked how many requests may share a connection.
	widened bool
	// selector is the sink: it hands on to the one that Run was given.
	selector *selector
	group    sync.WaitGroup

	mu       sync.Mutex
	list     *list
	listed   map[string]bool
	watchers map[string]*service
	// posts end the queries that watch a node's services.
	posts map[string]context.CancelFunc
	// sentries are the queries of sentinels and posts, by their names among the troubles.
	sentries map[string]sentry
	// resynced is when everything was last read again, because Consul's state was another one.
	resynced time.Time
	// crowded says that some services are cold, guarded that the sentinels run.
	crowded, guarded bool
	start            *progress
	// touched is since when Consul answers Connected; zero while it doesn't.
	touched time.Time
}

// New returns a source that has not asked Consul anything yet. It fails when the options can't work: no
// name, no configuration, a TLS or token file that can't be read.
func New(opts Options) (*Source, error) {
	switch {
	case opts.Name == "":
		return nil, errors.New("consul: the source needs a name")
	case opts.Config == nil:
		return nil, errors.New("consul: the source needs a configuration of the Consul client")
	case opts.Connections != 0 && opts.Connections < minConnections:
		return nil, fmt.Errorf("consul: connections is %d, it must be %d or more", opts.Connections, minConnections)
	case opts.Wait < 0 || opts.Wait > maxWait:
		return nil, fmt.Errorf("consul: wait is %s, it must be between 0 and %s", opts.Wait, maxWait)
	}
	if opts.Connections == 0 {
		opts.Connections = defaultConnections
	}
	if opts.Wait == 0 {
		opts.Wait = defaultWait
	}
	if opts.reread == 0 {
		opts.reread = filewatch.Interval
	}
	if opts.quiet == 0 {
		opts.quiet = quietGapMin
	}
	if opts.answer == 0 {
		opts.answer = maxAnswer
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Metrics == nil {
		opts.Metrics = NewMetrics(nil)
	}
	client, err := newClient(opts.Config)
	if err != nil {
		return nil, fmt.Errorf("consul: %w", err)
	}
	return newSource(opts, client), nil
}

func newSource(opts Options, client *clientParts) *Source {
	s := &Source{
		opts:      opts,
		log:       opts.Logger.With("source", opts.Name),
		metrics:   opts.Metrics.of(opts.Name),
		client:    client.api,
		creds:     client.creds,
		router:    client.router,
		transport: client.transport,
		owners:    newOwners(),
		selector:  &selector{by: opts.Selection},
		listed:    map[string]bool{},
		watchers:  map[string]*service{},
		posts:     map[string]context.CancelFunc{},
		sentries:  map[string]sentry{},
	}
	s.router.most = opts.answer
	s.hot, s.sweeper, s.start = newBudget(), newSweeper(s), newProgress()
	s.troubles = newTroubles(s.log, s.metrics, client.creds.hidden)
	return s
}

// Name returns the name of the source.
func (s *Source) Name() string { return s.opts.Name }

// Run reports the whole content to the sink, then every change, until ctx ends; then it returns nil. It
// never gives up on an error, unless the filter is wrong at the start, and never reports one as a deletion. It may be called once.
func (s *Source) Run(ctx context.Context, sink catalog.Sink) error {
	s.sink = s.selector.open(sink)
	s.listPool = newPool(1, s.transport)
	defer func() {
		for _, p := range []*pool{s.listPool, s.reads, s.polls} {
			p.close()
		}
	}()
	s.mu.Lock()
	s.list = newList(s)
	s.mu.Unlock()
	ctx, stop := context.WithCancel(ctx)
	defer s.group.Wait()
	defer stop()
	s.group.Go(func() { s.watchFiles(ctx) })
	if err := s.checkFilter(ctx); err != nil {
		return err
	}
	s.list.run(ctx)
	return nil
}

// query returns what every request of the source has in common: the datacenter, and the token of now.
func (s *Source) query() *api.QueryOptions {
	return &api.QueryOptions{Datacenter: s.opts.Datacenter, Token: s.creds.token()}
}

// options returns how a query with an index, or a read without one, is asked. A zero index asks for an answer at once,
// and for a consistent one, because it may remove: a leader that has just started answers other reads from a state
// that its log was not yet applied to, and so without what was registered last. A query with an index never removes
// (what it misses is read again), and its index keeps a server that is behind from answering with older content. So
// any server may hold it, and the leader is spared; see maxStale.
func (s *Source) options(index uint64, wait time.Duration) *api.QueryOptions {
	q := s.query()
	q.RequireConsistent = index == 0
	if index != 0 {
		q.WaitIndex, q.WaitTime, q.AllowStale = index, wait, true
	}
	return q
}

// anonymous says whether Consul may take us for nobody, to whom an answer without rights is empty, 200 and not marked as
// filtered: a token that is local to one datacenter is dropped on the way to another.
func (s *Source) anonymous() bool { return s.creds.token() == "" || s.opts.Datacenter != "" }
