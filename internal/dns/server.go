// Package dns answers DNS for the hosts of the mesh's services: with their virtual addresses, or with the addresses of
// their instances as Consul does.
//
// It is an output like the others: what it answers is what the mesh should hold. A query reads a table and waits for
// nobody; names below the domains that aren't known may be passed on to Consul's own DNS, and nothing else ever is.
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

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/miekg/dns"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/vip"
)

// maxConnections bounds the TCP connections at a time. A resolver needs one for each answer that is too long for UDP.
const maxConnections = 512

// Options say what a server answers.
type Options struct {
	// Address is host:port to answer at; an empty host means all interfaces, port 0 a free one.
	Address string
	// Instances answers the addresses of instances, not the virtual ones.
	Instances bool
	// Domains are those of the registries' own DNS, MoreDomains others below which all names are ours.
	Domains, MoreDomains []string
	// Forward are the DNS servers that are asked for names below Domains that aren't known, one after the other: those of
	// the longest domain that a name is in.
	Forward map[string][]string
	// Addresses are the ranges of the virtual addresses: what an address in them is called is ours to say.
	Addresses vip.Options
	// TTL and NegativeTTL are how long an answer, and that there is no such name, may be kept.
	TTL, NegativeTTL time.Duration

	Log     *slog.Logger
	Metrics *Metrics
}

// Server is a bridge.Output that answers DNS. Make one with Listen.
type Server struct {
	contract.WorkSet

	options Options
	zones   []zone
	packets net.PacketConn
	streams net.Listener
	forward *forwarder

	table *table
	// unsettled are services of which not all is known that says by what names and addresses they go; synced says that
	// more of that is known since they were looked at.
	unsettled map[mesh.Name]bool
	synced    atomic.Bool
	// complete says that the whole content is known, recalled that what is known is right, though more may be there;
	// serial grows with each change of the table.
	complete, recalled atomic.Bool
	serial             atomic.Uint32
}

// Listen opens the port for UDP and TCP, so that an address in use shows before anything else starts.
func Listen(options Options) (*Server, error) {
	// The same port for both, where a free one is asked for: TCP's may be taken for UDP.
	var err error
	for range 10 {
		s := newServer(options)
		if s.packets, err = net.ListenPacket("udp", options.Address); err != nil {
			break
		}
		if s.streams, err = net.Listen("tcp", s.packets.LocalAddr().String()); err == nil {
			return s, nil
		}
		_ = s.packets.Close() // nobody used it
		if _, port, _ := net.SplitHostPort(options.Address); port != "0" {
			break
		}
	}
	return nil, fmt.Errorf("DNS address %q: %w", options.Address, err)
}

func newServer(options Options) *Server {
	return &Server{
		WorkSet: contract.NewWorkSet(), options: options, zones: zonesOf(options), table: newTable(), forward: newForwarder(options),
		unsettled: map[mesh.Name]bool{},
	}
}

// Address returns host:port that is answered at.
func (s *Server) Address() string { return s.packets.LocalAddr().String() }

// Synced implements bridge.Output.
func (s *Server) Synced() {
	s.synced.Store(true)
	s.WorkSet.Synced()
}

// Ready implements bridge.Output.
func (s *Server) Ready() error {
	if !s.complete.Load() && !s.recalled.Load() {
		return errors.New("DNS: the whole content is not known yet")
	}
	return nil
}

// Run implements bridge.Output: it answers until ctx ends.
func (s *Server) Run(ctx context.Context, state contract.State) error {
	servers := []*dns.Server{
		{PacketConn: s.packets, Handler: s},
		// A resolver keeps its connection; one that is idle is closed after 8 s.
		{Listener: netutil.LimitListener(s.streams, maxConnections), Handler: s, MaxTCPQueries: -1},
	}
	s.options.Log.Info("answering DNS", "address", s.Address(), "domains", s.options.Domains)
	group, ctx := errgroup.WithContext(ctx)
	for _, server := range servers {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		failed := make(chan struct{})
		group.Go(func() error {
			defer close(failed)
			if err := server.ActivateAndServe(); err != nil && ctx.Err() == nil {
				return fmt.Errorf("DNS: %w", err)
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			select {
			case <-started:
			case <-failed:
			}
			// What is being answered is answered, for as long as a forwarded query may take.
			wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), forwardTimeout)
			defer cancel()
			_ = server.ShutdownContext(wait) // it has stopped by itself, or the time is over
			return nil
		})
	}
	group.Go(func() error {
		s.follow(ctx, state)
		return nil
	})
	return group.Wait()
}

// follow brings what changes into the table.
func (s *Server) follow(ctx context.Context, state contract.State) {
	for {
		s.takeOver(state)
		select {
		case <-ctx.Done():
			return
		case <-s.Wake:
		}
	}
}

func (s *Server) takeOver(state contract.State) {
	// First: all that is known when the state is complete has been told of by then.
	complete, recalled := state.Complete(), state.Restored()
	changed := s.Drain()
	if s.synced.Swap(false) {
		changed = slices.AppendSeq(changed, maps.Keys(s.unsettled))
	}
	for _, name := range changed {
		desired := state.Desired(name)
		delete(s.unsettled, name)
		switch there := len(desired.Objects) > 0; {
		case there && desired.Stable:
			s.table.set(name, desired.Objects, desired.YieldedHosts)
		case there:
			s.unsettled[name] = true
		case desired.Authoritative:
			s.table.set(name, nil, nil)
		}
	}
	if len(changed) > 0 {
		s.serial.Add(1)
		s.options.Metrics.hosts.Set(float64(len(s.table.claims)))
	}
	if complete {
		s.complete.Store(true)
	}
	if recalled {
		s.recalled.Store(true)
	}
}
