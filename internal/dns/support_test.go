package dns_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/dns"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/testutil"
	"github.com/isthmus-mesh/isthmus/internal/vip"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeState is a contract.State that a test changes.
type fakeState struct {
	mu       sync.Mutex
	desired  map[mesh.Name]contract.Desired
	complete bool
	restored bool
	// unstable holds the labels of the services whose names are not final.
	unstable map[string]bool
	// yielded are the hosts that other objects own.
	yielded []string
}

func (s *fakeState) Desired(name mesh.Name) contract.Desired {
	s.mu.Lock()
	defer s.mu.Unlock()
	if desired, ok := s.desired[name]; ok {
		desired.Stable, desired.YieldedHosts = !s.unstable[name.Label], s.yielded
		return desired
	}
	return contract.Desired{Authoritative: true}
}

func (s *fakeState) Complete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.complete
}

func (s *fakeState) Restored() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.restored || s.complete
}

func (s *fakeState) Names() []mesh.Name                  { return nil }
func (s *fakeState) Written(mesh.Name, uint64) time.Time { return time.Time{} }
func (s *fakeState) set(name mesh.Name, d *contract.Desired) {
	s.change(func() { s.desired[name] = *d })
}

func (s *fakeState) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// fixture is a running server and its state.
type fixture struct {
	*dns.Server
	state *fakeState
}

// defaults returns the options of most tests.
func defaults() dns.Options {
	return dns.Options{
		Address: "127.0.0.1:0", Domains: []string{"consul"}, TTL: 5 * time.Second, MaxAmplification: 4, NegativeTTL: 3 * time.Second,
		Addresses: vip.Options{IPv4: netip.MustParsePrefix("244.0.0.0/6"), IPv6: netip.MustParsePrefix("fd00:1::/64")},
	}
}

// start starts a server with these services and waits until it is ready.
func start(t testing.TB, options dns.Options, services ...served) *fixture {
	t.Helper()
	f := prepare(t, options)
	for _, s := range services {
		f.serve(t, s)
	}
	f.state.change(func() { f.state.complete = true })
	f.Synced()
	until(t, func() bool { return f.Ready() == nil })
	return f
}

// prepare starts a server before the initial sync.
func prepare(t testing.TB, options dns.Options) *fixture {
	t.Helper()
	options.Log, options.Metrics = slog.New(slog.DiscardHandler), dns.NewMetrics(prometheus.NewRegistry())
	server, err := dns.Listen(options)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{server, &fakeState{desired: map[mesh.Name]contract.Desired{}}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, f.state) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return f
}

// served is a service with its virtual addresses.
type served struct {
	name      string
	virtual   []string
	instances []catalog.Instance
}

// instances returns this number of instances.
func instances(count int) []catalog.Instance {
	var all []catalog.Instance
	for i := range count {
		all = append(all, catalog.Instance{
			ID:      catalog.InstanceID{Datacenter: "dc1", Node: "n", ServiceID: fmt.Sprintf("%04d", i)},
			Address: fmt.Sprintf("10.1.%d.%d", i/250, i%250+1), Port: 9098, Health: catalog.Passing,
			Weights: catalog.Weights{Passing: 1, Warning: 1},
		})
	}
	return all
}

// serve sets the desired objects of a service.
func (f *fixture) serve(t testing.TB, s served) {
	t.Helper()
	bare, err := mesh.ParseHostTemplate("{{ .Name }}")
	if err != nil {
		t.Fatal(err)
	}
	name := mesh.Name{Source: "consul", Label: s.name}
	service := catalog.Service{Key: catalog.Key{Source: "consul", Name: s.name}, Datacenter: "dc1", Instances: s.instances}
	resources, _ := mesh.Translate(service, name, mesh.Options{
		Domain: "consul", ClusterDomain: "cluster.local", Hosts: []mesh.HostTemplate{bare}, Form: mesh.WorkloadEntryForm, DefaultProtocol: "HTTP",
	})
	var virtual []netip.Addr
	for _, text := range s.virtual {
		virtual = append(virtual, netip.MustParseAddr(text))
	}
	resources.SetAddresses(virtual)
	f.state.set(name, &contract.Desired{Resources: resources, Authoritative: true})
	f.Notify(name)
}

// until waits until ok returns true.
func until(t testing.TB, ok func() bool) {
	t.Helper()
	testutil.Eventually(t, func() error {
		if ok() {
			return nil
		}
		return errors.New("the expected replies did not arrive")
	})
}

// query returns a query.
func query(name string, kind uint16) *miekg.Msg { return new(miekg.Msg).SetQuestion(name, kind) }

// ask sends a query and returns the reply.
func (f *fixture) ask(t testing.TB, network string, m *miekg.Msg) *miekg.Msg {
	t.Helper()
	client := miekg.Client{Net: network, Timeout: 10 * time.Second}
	reply, _, err := client.Exchange(m, f.Address())
	if err != nil {
		t.Fatalf("%s over %s: %v", m.Question[0].Name, network, err)
	}
	return reply
}
