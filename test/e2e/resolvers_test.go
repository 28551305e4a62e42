package e2e

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	istiodns "istio.io/istio/pkg/dns/client"
	istioname "istio.io/istio/pkg/dns/proto"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// istioProxyEnv holds the address of Istio's DNS proxy in a process that runs it instead of the tests.
const istioProxyEnv = "E2E_ISTIO_DNS_PROXY"

// runIstioDNSProxy runs the DNS proxy of Istio's agent until a signal ends it. The proxy forwards to /etc/resolv.conf.
func runIstioDNSProxy(address string) error {
	server, err := istiodns.NewLocalDNSServer(namespace, namespace+".svc.cluster.local", address)
	if err != nil {
		return err
	}
	server.UpdateLookupTable(&istioname.NameTable{}) // from now on it forwards
	server.StartDNS()
	defer server.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	return nil
}

// resolvConf returns the arguments of a command that runs a program with a name server of its own.
func resolvConf(t *testing.T, server string, program ...string) []string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"resolv.conf": "nameserver " + server + "\n", "nsswitch.conf": "hosts: dns\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const script = `mount --bind "$0/resolv.conf" /etc/resolv.conf && mount --bind "$0/nsswitch.conf" /etc/nsswitch.conf && exec "$@"`
	return append([]string{"unshare", "--mount", "--propagation", "private", "sh", "-c", script, dir}, program...)
}

// TestResolversGetAllInstances verifies that every kind of resolver gets all instances of a service, although an answer to
// a client without a DNS cookie is truncated: the C library, Go, CoreDNS, Istio's DNS proxy, and a client with cookies.
func TestResolversGetAllInstances(t *testing.T) {
	testbed.RequirePod(t, "getent")
	w, _ := startConsulOnly(t)
	var want []string
	for i := range 40 {
		address := fmt.Sprint("10.9.0.", 10+i)
		want = append(want, address)
		w.register(t, instance{service: "many", id: fmt.Sprint("many-", i), address: address, port: 80})
	}
	slices.Sort(want)
	// The C library queries port 53 only.
	own := fmt.Sprintf("127.%d.%d.53", 1+rand.IntN(250), 1+rand.IntN(250))
	config, err := w.run.Config("dns: {answer: instances}")
	if err != nil {
		t.Fatal(err)
	}
	if w.isthmus, err = w.run.StartIsthmus(w.consul, nil, "--output", "stdout", "--config", config, "--dns-addr", own+":53"); err == nil {
		err = w.isthmus.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	server := own + ":53"
	core, err := w.run.StartCoreDNS(t.Context(), map[string]string{"consul": "  forward . " + server, ".": elsewhere})
	if err != nil {
		t.Fatal(err)
	}
	const name = "many.service.consul"
	for resolver, lookup := range map[string]func(context.Context) ([]string, error){
		"C library": func(ctx context.Context) ([]string, error) {
			command := resolvConf(t, own, "getent", "ahostsv4", name)
			out, err := exec.CommandContext(ctx, command[0], command[1:]...).Output()
			var addresses []string
			for line := range strings.Lines(string(out)) {
				addresses = append(addresses, strings.Fields(line)[0])
			}
			return addresses, err
		},
		"Go":                goResolver(server, name),
		"CoreDNS":           goResolver(core.Address, name),
		"Istio's DNS proxy": goResolver(startIstioDNSProxy(t, w.run, own), name),
		"with cookies":      func(ctx context.Context) ([]string, error) { return lookupWithCookies(ctx, server, name) },
	} {
		t.Run(resolver, func(t *testing.T) {
			eventually(t, func(ctx context.Context) error {
				got, err := lookup(ctx)
				slices.Sort(got)
				if got = slices.Compact(got); err != nil || !slices.Equal(got, want) {
					return fmt.Errorf("%d of %d instances: %q: %w", len(got), len(want), got, err)
				}
				return nil
			})
		})
	}
	if truncated, err := w.isthmus.Metric(t.Context(), "isthmus_dns_truncated_total", "reason", "no_cookie"); err != nil || truncated < 4 {
		t.Errorf("%v answers were truncated for clients without a cookie: %v", truncated, err)
	}
}

// startIstioDNSProxy starts Istio's DNS proxy with a name server, and returns its address.
func startIstioDNSProxy(t *testing.T, run *testbed.Run, server string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	port, err := testbed.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprint("127.0.0.1:", port)
	command := resolvConf(t, server, self)
	program, err := exec.LookPath(command[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run.Start("istio-dns", program, []string{istioProxyEnv + "=" + address}, command[1:]...); err != nil {
		t.Fatal(err)
	}
	return address
}

// goResolver looks up a name with the resolver of Go, which queries by UDP and repeats truncated queries by TCP.
func goResolver(server, name string) func(context.Context) ([]string, error) {
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server)
	}}
	return func(ctx context.Context) ([]string, error) {
		addresses, err := resolver.LookupNetIP(ctx, "ip4", name)
		var texts []string
		for _, address := range addresses {
			texts = append(texts, address.Unmap().String())
		}
		return texts, err
	}
}

// lookupWithCookies looks up a name by UDP only, as dig does: the first reply brings the cookie for the second query.
func lookupWithCookies(ctx context.Context, server, name string) (addresses []string, err error) {
	cookie := hex.EncodeToString([]byte("isthmus1"))
	for range 2 {
		query := new(dns.Msg).SetQuestion(name+".", dns.TypeA)
		query.SetEdns0(1232, false)
		query.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: cookie}}
		client := dns.Client{Net: "udp", Timeout: 5 * time.Second}
		reply, _, err := client.ExchangeContext(ctx, query, server)
		if err != nil {
			return nil, err
		}
		addresses = nil
		for _, record := range reply.Answer {
			if a, ok := record.(*dns.A); ok {
				addresses = append(addresses, a.A.String())
			}
		}
		if reply.IsEdns0() == nil || len(reply.IsEdns0().Option) != 1 {
			return nil, errors.New("the reply has no cookie")
		}
		if option, ok := reply.IsEdns0().Option[0].(*dns.EDNS0_COOKIE); ok {
			cookie = option.Cookie
		}
	}
	return addresses, nil
}
