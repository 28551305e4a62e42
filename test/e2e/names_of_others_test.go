package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestNamesOfOthersOnConsul verifies on a real Consul that no registration takes the host or the virtual address of another
// service, or a name of Consul itself, before and after a restart of isthmus.
func TestNamesOfOthersOnConsul(t *testing.T) {
	w, consul := startConsulOnly(t)
	config, err := w.run.Config("dns: {forward: [{servers: ['" + consul + "']}]}")
	if err != nil {
		t.Fatal(err)
	}
	port, err := testbed.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	server, root, stateFile := fmt.Sprint("127.0.0.1:", port), t.TempDir(), filepath.Join(t.TempDir(), "state")
	start := func() {
		w.isthmus, err = w.run.StartIsthmus(w.consul, nil, "--output", "dir="+root, "--state-file", stateFile, "--config", config, "--dns-addr", server)
		if err == nil {
			err = w.isthmus.Wait(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	start()
	const victim = "pay-api.service.consul."
	w.register(t, instance{service: "Pay_Api", id: "victim", address: "10.6.0.1", port: 8080})
	var address []string
	eventually(t, func(ctx context.Context) error {
		address, err = ask(ctx, server, "udp", victim, dns.TypeA)
		if err != nil || len(address) != 2 {
			return fmt.Errorf("%q: %w", address, err)
		}
		return nil
	})
	attacks := []string{"pay-api", "PAY.API", "pay_api-", "consul-", "-consul", "Consul_"}
	for i, service := range attacks {
		w.register(t, instance{service: service, id: fmt.Sprint("attack-", i), address: fmt.Sprint("10.6.6.", i+1), port: 8080})
	}
	// The Consul servers keep their name, with an address that no registration of a service determines.
	servers, err := ask(t.Context(), consul, "udp", "consul.service.consul.", dns.TypeA)
	if err != nil || len(servers) != 2 {
		t.Fatalf("%q, %v", servers, err)
	}
	check := func() {
		t.Helper()
		eventually(t, func(context.Context) error {
			files, err := filepath.Glob(filepath.Join(root, "*", "*.yaml"))
			if err != nil || len(files) != 1+len(attacks) {
				return fmt.Errorf("%d files, not %d: %w", len(files), 1+len(attacks), err)
			}
			return nil
		})
		got, err := ask(t.Context(), server, "udp", victim, dns.TypeA)
		if err != nil || !slices.Equal(got, address) {
			t.Errorf("%s is %q, %v; before it was %q", victim, got, err, address)
		}
		got, err = ask(t.Context(), server, "udp", "consul.service.consul.", dns.TypeA)
		if err != nil || !slices.Equal(got, servers) {
			t.Errorf("consul.service.consul is %q, %v; in Consul it is %q", got, err, servers)
		}
		files, _ := filepath.Glob(filepath.Join(root, "*", "*.yaml"))
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			theirs := strings.Contains(string(content), "address: 10.6.6.")
			if strings.Contains(string(content), "- consul.service.consul\n") || (theirs && strings.Contains(string(content), "- pay-api.service.consul\n")) {
				t.Errorf("%s has the host of another:\n%s", file, content)
			}
		}
	}
	check()
	w.isthmus.Stop()
	start()
	check()
	// Without a state file the names are assigned anew. A prettier name has precedence then, but consul stays reserved.
	w.isthmus.Stop()
	if err := os.Remove(stateFile); err != nil {
		t.Fatal(err)
	}
	start()
	if got, err := ask(t.Context(), server, "udp", "consul.service.consul.", dns.TypeA); err != nil || !slices.Equal(got, servers) {
		t.Errorf("consul.service.consul is %q, %v", got, err)
	}
}
