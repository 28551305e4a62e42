package dns_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	miekg "github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/dns"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/vip"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// known is a state that says what it is told to.
type known struct {
	mu       sync.Mutex
	desired  map[mesh.Name]contract.Desired
	complete bool
	recalled bool
	// unsettled are services of which not all is known, left are hosts that are left to others.
	unsettled map[string]bool
	left      []string
}

func (k *known) Desired(name mesh.Name) contract.Desired {
	k.mu.Lock()
	defer k.mu.Unlock()
	if desired, ok := k.desired[name]; ok {
		desired.Stable, desired.YieldedHosts = !k.unsettled[name.Label], k.left
		return desired
	}
	return contract.Desired{Authoritative: true}
}

func (k *known) Complete() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.complete
}

func (k *known) Restored() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.recalled || k.complete
}

func (k *known) Names() []mesh.Name                      { return nil }
func (k *known) Written(mesh.Name, uint64) time.Time     { return time.Time{} }
func (k *known) set(name mesh.Name, d *contract.Desired) { k.change(func() { k.desired[name] = *d }) }
func (k *known) change(f func())                         { k.mu.Lock(); defer k.mu.Unlock(); f() }

// fixture is a running server and what it knows.
type fixture struct {
	*dns.Server
	state *known
}

func defaults() dns.Options {
	return dns.Options{
		Address: "127.0.0.1:0", Domains: []string{"consul"}, TTL: 5 * time.Second, NegativeTTL: 3 * time.Second,
		Addresses: vip.Options{IPv4: netip.MustParsePrefix("244.0.0.0/6"), IPv6: netip.MustParsePrefix("fd00:1::/64")},
	}
}

// start starts a server that knows these services, and waits until it answers.
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

func prepare(t testing.TB, options dns.Options) *fixture {
	t.Helper()
	options.Log, options.Metrics = slog.New(slog.DiscardHandler), dns.NewMetrics(prometheus.NewRegistry())
	server, err := dns.Listen(options)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{server, &known{desired: map[mesh.Name]contract.Desired{}}}
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

// served is a service and its virtual addresses.
type served struct {
	name      string
	virtual   []string
	instances []catalog.Instance
}

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

func until(t testing.TB, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to be")
		}
		time.Sleep(time.Millisecond)
	}
}

func query(name string, kind uint16) *miekg.Msg { return new(miekg.Msg).SetQuestion(name, kind) }

func (f *fixture) ask(t testing.TB, network string, m *miekg.Msg) *miekg.Msg {
	t.Helper()
	client := miekg.Client{Net: network, Timeout: 10 * time.Second}
	reply, _, err := client.Exchange(m, f.Address())
	if err != nil {
		t.Fatalf("%s by %s: %v", m.Question[0].Name, network, err)
	}
	return reply
}
