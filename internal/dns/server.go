package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"github.com/isthmus-mesh/isthmus/internal/connlimit"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/vip"
)

// limits bound the TCP connections. A resolver needs one for each answer that is too long for UDP.
var limits = connlimit.Limits{Total: 512, PerClient: 64, WriteTimeout: 2 * time.Second, MaxAge: time.Minute}

// Options configure a Server.
type Options struct {
	// Address is the host:port to listen on. An empty host means all interfaces, port 0 a free port.
	Address string
	// Instances makes the server answer with the addresses of instances instead of virtual addresses.
	Instances bool
	// Domains are the domains of Consul's own DNS.
	Domains []string
	// MoreDomains are further domains. The server is authoritative for all names below them.
	MoreDomains []string
	// Forward maps a domain to the DNS servers for unknown names below it. The longest matching domain applies, and its
	// servers are tried in order. Only names below Domains are forwarded.
	Forward map[string][]string
	// Addresses are the ranges of the virtual addresses. The server is authoritative for their reverse names.
	Addresses vip.Options
	// MaxAmplification is how many times longer than the query a UDP answer may be if the client has no valid DNS cookie.
	// 0 means no limit.
	MaxAmplification int
	// TTL is the time to live of an answer.
	TTL time.Duration
	// NegativeTTL is the time to live of the answer that a name or record does not exist.
	NegativeTTL time.Duration

	Log     *slog.Logger
	Metrics *Metrics
}

// Server is a contract.Output that answers DNS queries. Use Listen to create one.
type Server struct {
	contract.WorkSet

	options   Options
	zones     []zone
	udp       net.PacketConn
	tcp       net.Listener
	forwarder *forwarder
	cookies   *cookies

	table *table
	// unstable holds the services whose names and addresses are not final yet. Only the goroutine of Run uses it.
	unstable map[mesh.Name]bool
	// synced is set when services of unstable may have become final.
	synced atomic.Bool
	// complete is true once the initial sync is complete.
	complete atomic.Bool
	// restored is true once the known content is correct, although services may be missing.
	restored atomic.Bool
	// serial is the serial number of the zones. It grows with each change of the table.
	serial atomic.Uint32
}

// Listen opens the port for UDP and TCP. Therefore an address in use is reported before the sources start.
func Listen(options Options) (*Server, error) {
	// Both protocols use the same port. If any free port may be used, the TCP port of a free UDP port may be in use.
	var err error
	for range 10 {
		s := newServer(options)
		if s.udp, err = net.ListenPacket("udp", options.Address); err != nil {
			break
		}
		if s.tcp, err = net.Listen("tcp", s.udp.LocalAddr().String()); err == nil {
			return s, nil
		}
		_ = s.udp.Close() // the socket was not used
		if _, port, _ := net.SplitHostPort(options.Address); port != "0" {
			break
		}
	}
	return nil, fmt.Errorf("dns: listen on %q: %w", options.Address, err)
}

func newServer(options Options) *Server {
	table := newTable()
	return &Server{
		WorkSet: contract.NewWorkSet(), options: options, zones: zonesOf(options), table: table,
		forwarder: newForwarder(options, func(name string) bool { return table.find(name) != nil }), unstable: map[mesh.Name]bool{},
		cookies: newCookies(),
	}
}

// Address returns the host:port that the server listens on.
func (s *Server) Address() string { return s.udp.LocalAddr().String() }

// Synced implements contract.Output.
func (s *Server) Synced() {
	s.synced.Store(true)
	s.WorkSet.Synced()
}

// Ready implements contract.Output.
func (s *Server) Ready() error {
	if !s.complete.Load() && !s.restored.Load() {
		return errors.New("dns: the initial sync is not complete")
	}
	return nil
}

// Run implements contract.Output. It answers queries until ctx ends.
func (s *Server) Run(ctx context.Context, state contract.State) error {
	s.options.Log.Info("DNS server started", "address", s.Address())
	group, ctx := errgroup.WithContext(ctx)
	for _, server := range []*dns.Server{
		{PacketConn: s.udp, Handler: s},
		// A resolver keeps its connection open. The server closes it after 2 s without a first query, and after 8 s without
		// another one.
		{Listener: connlimit.New(s.tcp, connlimit.Options{
			Limits: limits, Name: "dns", Log: s.options.Log, Metrics: s.options.Metrics.connections,
		}), Handler: s, MaxTCPQueries: -1},
	} {
		started, stopped := make(chan struct{}), make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		group.Go(func() error {
			defer close(stopped)
			if err := server.ActivateAndServe(); err != nil && ctx.Err() == nil {
				return fmt.Errorf("dns: serve: %w", err)
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			select {
			case <-started:
			case <-stopped:
			}
			shutdown(ctx, server)
			return nil
		})
	}
	group.Go(func() error {
		s.updateTable(ctx, state)
		return nil
	})
	return group.Wait()
}

// shutdown stops a server. Queries in progress are answered, for as long as a forwarded query may take.
func shutdown(ctx context.Context, server *dns.Server) {
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), forwardTimeout)
	defer cancel()
	_ = server.ShutdownContext(wait) // the server has already stopped, or the time is over
}

// updateTable applies changes to the table until ctx ends.
func (s *Server) updateTable(ctx context.Context, state contract.State) {
	for {
		s.applyChanges(state)
		select {
		case <-ctx.Done():
			return
		case <-s.Wake:
		}
	}
}

func (s *Server) applyChanges(state contract.State) {
	// Read these first: once the state is complete, all services of it have been notified.
	complete, restored := state.Complete(), state.Restored()
	changed := s.Drain()
	if s.synced.Swap(false) {
		changed = slices.AppendSeq(changed, maps.Keys(s.unstable))
	}
	for _, name := range changed {
		desired := state.Desired(name)
		delete(s.unstable, name)
		switch exists := len(desired.Objects) > 0; {
		case exists && desired.Stable:
			s.table.set(name, desired.Objects, desired.YieldedHosts)
		case exists:
			s.unstable[name] = true
		case desired.Authoritative:
			s.table.set(name, nil, nil)
		}
	}
	if len(changed) > 0 {
		s.serial.Add(1)
		s.options.Metrics.hosts.Set(float64(len(s.table.candidates)))
	}
	if complete {
		s.complete.Store(true)
	}
	if restored {
		s.restored.Store(true)
	}
}
