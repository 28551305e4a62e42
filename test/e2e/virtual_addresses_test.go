package e2e

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/miekg/dns"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"
	nds "istio.io/istio/pkg/dns/proto"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// address waits until a service has a virtual address, and returns it.
func (w *harness) address(t *testing.T, i instance) string {
	t.Helper()
	return w.addresses(t, i, 1)[0]
}

// addresses waits until a service has a number of virtual addresses, and returns them.
func (w *harness) addresses(t *testing.T, i instance, count int) (addresses []string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		entry, err := w.istio.NetworkingV1().ServiceEntries(namespace).Get(ctx, i.entryName(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		if addresses = entry.Spec.Addresses; len(addresses) != count {
			return fmt.Errorf("its addresses are %v", addresses)
		}
		return nil
	})
	return addresses
}

// TestVirtualAddresses verifies that a service keeps its address when other services appear, and after a restart of an
// isthmus that could not compute it again, and that DNS returns it. The range is so small that a start without memory
// assigns other addresses.
func TestVirtualAddresses(t *testing.T) {
	w := newHarness(t)
	const config = "virtualAddresses: {ipv4: 10.250.0.0/28}\nmesh: {hosts: ['{{ .Name }}']}"
	server := w.startNames(t, config, "--namespace", namespace)
	had := map[string]string{}
	var all []instance
	for n := 13; n >= 0; n-- {
		i := instance{service: fmt.Sprint("svc-", n), id: fmt.Sprint("svc-", n), address: fmt.Sprint("10.8.0.", n+1), port: 8080}
		w.register(t, i)
		had[i.service] = w.address(t, i)
		all = append(all, i)
	}
	late := instance{service: "late", id: "late", address: "10.8.1.1", port: 8080}
	w.register(t, late)
	eventually(t, func(ctx context.Context) error {
		count, err := w.isthmus.Metric(ctx, "isthmus_findings", "reason", "no_virtual_address")
		if err == nil && count != 1 {
			err = fmt.Errorf("%v services have no address", count)
		}
		return err
	})
	w.isthmus.Stop()
	if err := w.isthmus.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := w.isthmus.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, i := range all {
		if got := w.address(t, i); got != had[i.service] || seen[got] {
			t.Errorf("%s has %s, had %s", i.service, got, had[i.service])
		}
		seen[had[i.service]] = true
		for _, host := range []string{i.host(), i.service} {
			awaitAnswer(t, server, host+".", dns.TypeA, "NOERROR", fmt.Sprint(host, ". A ", had[i.service]))
		}
		reverse, err := dns.ReverseAddr(had[i.service])
		if err != nil {
			t.Fatal(err)
		}
		awaitAnswer(t, server, reverse, dns.TypePTR, "NOERROR", reverse+" PTR "+i.host()+".")
	}
}

const nameTable = "type.googleapis.com/istio.networking.nds.v1.NameTable"

// nameTable asks istiod for the answers of Istio's DNS proxy for a workload with addresses of both families.
func (w *harness) nameTable(t *testing.T) *nds.NameTable {
	t.Helper()
	connection, err := grpc.NewClient(w.istiod.XDS, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(connection).StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	metadata, err := structpb.NewStruct(map[string]any{"DNS_CAPTURE": "true", "NAMESPACE": "default", "CLUSTER_ID": "Kubernetes", "INSTANCE_IPS": "10.99.0.1,fd00:99::1"})
	if err != nil {
		t.Fatal(err)
	}
	node := &core.Node{Id: "sidecar~10.99.0.1~caller.default~default.svc.cluster.local", Metadata: metadata}
	if err := stream.Send(&discovery.DiscoveryRequest{Node: node, TypeUrl: nameTable}); err != nil {
		t.Fatal(err)
	}
	reply, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	table := &nds.NameTable{}
	if err := reply.Resources[0].UnmarshalTo(table); err != nil {
		t.Fatal(err)
	}
	return table
}

// TestTCPByAddress verifies that TCP services with the same port 80 are distinguished by their addresses, and are
// reachable by their native ports too.
func TestTCPByAddress(t *testing.T) {
	w := sharedHarness(t)
	w.testTCPByAddress(t, w.address)
}

// testTCPByAddress has two TCP services with the same ports, at the addresses that a function returns.
func (w *harness) testTCPByAddress(t *testing.T, address func(*testing.T, instance) string) {
	t.Helper()
	one := newServer(t, "tcp-one")
	two := newServerAt(t, "tcp-two", net.JoinHostPort("127.0.0.2", strconv.Itoa(one.port)))
	services := map[string]server{"tcp-one": one, "tcp-two": two}
	at := map[string]string{}
	for name, s := range services {
		i := instance{service: name, id: name, address: s.address, port: s.port, meta: map[string]string{"protocol": "tcp"}}
		w.register(t, i)
		at[name] = address(t, i)
	}
	for name, s := range services {
		for _, port := range []int{80, s.port} {
			eventually(t, func(ctx context.Context) error {
				return w.get(ctx, fmt.Sprintf("http://%s:%d/", at[name], port), name)
			})
		}
	}
}

// TestIstioDNSProxyAnswersTheSame verifies that the DNS proxy of a sidecar gets the addresses that isthmus assigned,
// and that a TCP service has a listener of its own at its address.
func TestIstioDNSProxyAnswersTheSame(t *testing.T) {
	w := sharedHarness(t)
	web := instance{service: "nds-web", id: "nds-web", address: "10.8.2.1", port: 8080}
	cache := instance{service: "nds-cache", id: "nds-cache", address: "10.8.2.2", port: 6379, meta: map[string]string{"protocol": "tcp"}}
	w.register(t, web, cache)
	for _, i := range []instance{web, cache} {
		address := w.address(t, i)
		eventually(t, func(context.Context) error {
			info := w.nameTable(t).Table[i.host()]
			if info == nil || len(info.Ips) != 1 || info.Ips[0] != address {
				return fmt.Errorf("istiod's name table has %v for %s, want %s", info, i.host(), address)
			}
			return nil
		})
	}
	address := w.address(t, cache)
	for _, port := range []int{80, 6379} {
		name := fmt.Sprint(address, "_", port)
		eventually(t, func(ctx context.Context) error {
			listeners, err := w.envoy.Listeners(ctx)
			if err == nil && !listeners[name] {
				err = fmt.Errorf("Envoy has no listener %s, only %v", name, listeners)
			}
			return err
		})
	}
}

// TestIPv6 verifies the same for a mesh with a range of IPv6: a sidecar with both families gets both addresses and a
// listener at each, and TCP services are distinguished by either.
func TestIPv6(t *testing.T) {
	requireAll(t, testbed.IstiodBinary, testbed.EnvoyBinary)
	w := newHarness(t)
	if err := w.startMesh(t.Context(), onLoopback+"virtualAddresses: {ipv6: 'fd12:3456:789a:1::/64'}\n", "::1"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"six-one", "six-two"} {
		s := newServer(t, name)
		i := instance{service: name, id: name, address: s.address, port: s.port, meta: map[string]string{"protocol": "tcp"}}
		w.register(t, i)
		addresses := w.addresses(t, i, 2)
		eventually(t, func(context.Context) error {
			info := w.nameTable(t).Table[i.host()]
			if info == nil || !slices.Equal(slices.Sorted(slices.Values(info.Ips)), slices.Sorted(slices.Values(addresses))) {
				return fmt.Errorf("istiod's name table has %v for %s, want %v", info, i.host(), addresses)
			}
			return nil
		})
		for kind, address := range map[uint16]string{dns.TypeA: addresses[0], dns.TypeAAAA: addresses[1]} {
			awaitAnswer(t, w.dns, i.host()+".", kind, "NOERROR", fmt.Sprintf("%s. %s %s", i.host(), dns.TypeToString[kind], address))
			for _, port := range []int{80, s.port} {
				eventually(t, func(ctx context.Context) error {
					return w.get(ctx, "http://"+net.JoinHostPort(address, strconv.Itoa(port))+"/", name)
				})
			}
		}
	}
}

// TestSidecarWithOurDNS verifies that a program in a pod without the DNS proxy of its sidecar reaches HTTP and TCP
// services by their names, with isthmus as its name server.
func TestSidecarWithOurDNS(t *testing.T) {
	w := newPodHarness(t, testbed.PodOptions{Search: []string{"service.consul"}}, "--dns-addr", gateway+":53")
	w.testCalls(t)
	w.testTCP(t)
	t.Run("a split by version applies", w.testSplit)
}
