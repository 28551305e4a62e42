package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/test/testbed/bench"
)

// measureCost counts the cost of one change of each kind: responses of Consul, requests to the API server, writes, and
// bytes on both connections. The changes do not overlap.
func (b *bed) measureCost(t *testing.T) {
	b.servers(t)
	m := b.counted(t)
	c := changer{benchCatalog: b.catalog, consul: b.catalog.client(t)}
	mirror := b.mirror(t, namespace)
	repeats := 10
	if quick() {
		repeats = 1
	}
	var rows []bench.Row
	for _, kind := range c.kinds(t, mirror) {
		before := m.read(t)
		for n := range repeats {
			kind.change(n)
			m.settle(t)
		}
		for i, after := range m.read(t) {
			rows = append(rows, bench.Row{
				Line: 3, What: kind.name, Figure: meterFigures[i], Size: b.String(), Value: (after - before[i]) / float64(repeats),
			})
		}
	}
	bench.Add(t, rows...)
}

// change is a kind of change. It returns when the nth of them has arrived.
type change struct {
	name   string
	change func(n int)
}

func (c changer) kinds(t *testing.T, m *mirror) []change {
	service := func(n int) (string, int) { n = (n*7 + 3) % c.services; return numberedService(n), n }
	// register registers a new first instance and returns its address.
	register := func(name string, n, net int, edit func(*api.CatalogRegistration)) string {
		r := c.registration(name, n, 0)
		r.Service.Address = fmt.Sprintf("10.%d.%d.%d", net, n/250, n%250)
		edit(r)
		c.register(t, r)
		return r.Service.Address
	}
	nothing := func(*api.CatalogRegistration) {}
	health := func(status string) func(*api.CatalogRegistration) {
		return func(r *api.CatalogRegistration) { r.Checks[0].Status = status }
	}
	another := func(r *api.CatalogRegistration) { r.Service.ID += "-more"; r.Checks = nil }
	gone := func(name string, n int, edit func(*api.CatalogRegistration)) {
		r := c.registration(name, n, 0)
		edit(r)
		c.deregister(t, r)
	}
	return []change{
		{"address", func(n int) {
			name, index := service(n)
			m.awaitAddress(t, register(name, index, 203, nothing))
		}},
		{"health: critical", func(n int) {
			name, index := service(n)
			m.awaitGone(t, register(name, index, 203, health(api.HealthCritical)))
		}},
		{"health: passing", func(n int) {
			name, index := service(n)
			m.awaitVersion(t, register(name, index, 203, health(api.HealthPassing)), "v1")
		}},
		{"tags", func(n int) {
			name, index := service(n)
			tag := fmt.Sprint("v1-", n)
			m.awaitVersion(t, register(name, index, 203, func(r *api.CatalogRegistration) { r.Service.Tags = []string{"version=" + tag} }), tag)
		}},
		{"new instance", func(n int) {
			name, index := service(n)
			m.awaitAddress(t, register(name, index, 204, another))
		}},
		{"instance gone", func(n int) {
			name, index := service(n)
			gone(name, index, another)
			m.awaitGone(t, fmt.Sprintf("10.204.%d.%d", index/250, index%250))
		}},
		{"new service", func(n int) { m.awaitAddress(t, register(fmt.Sprint("new-", n), n, 205, nothing)) }},
		{"service gone", func(n int) {
			gone(fmt.Sprint("new-", n), n, nothing)
			m.awaitGone(t, fmt.Sprintf("10.205.%d.%d", n/250, n%250))
		}},
	}
}

// meter reads the cost of an isthmus so far.
type meter struct {
	bed          *bed
	consul, kube *wire
}

// counted starts an isthmus with counted connections and stops it with the test. It runs without a lease, so that all
// writes are its own.
func (b *bed) counted(t *testing.T) meter {
	t.Helper()
	server := strings.TrimPrefix(b.kube.REST.Host, "https://")
	m := meter{bed: b, consul: startWire(t, b.catalog.address), kube: startWire(t, server)}
	content, err := os.ReadFile(b.kube.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	kube := *b.kube
	kube.Kubeconfig = filepath.Join(b.catalog.folder, "kubeconfig")
	if err := os.WriteFile(kube.Kubeconfig, []byte(strings.ReplaceAll(string(content), server, m.kube.address)), 0o600); err != nil {
		t.Fatal(err)
	}
	b.startIsthmus(t, benchSetup{
		output: "kube", consul: m.consul.address, kube: &kube, more: "kubernetes: {leaderElection: {enabled: false}}",
	})
	t.Cleanup(b.stopIsthmus)
	b.ready(t)
	b.quiet(t)
	return m
}

// meterFigures are the names of the figures of a meter. Those of the API server cover the resources of Istio only.
var meterFigures = []string{
	"answers of Consul", "of them the list", "kB to and from Consul", "requests to the API server", "of them writes",
	"kB to and from the API server",
}

func (m meter) read(t *testing.T) []float64 {
	t.Helper()
	list, err := m.bed.isthmus.Metric(t.Context(), "isthmus_consul_requests_total", "endpoint", "services")
	if err != nil {
		t.Fatal(err)
	}
	requests, err := m.bed.kube.RequestsOf(t.Context(), "networking.istio.io")
	if err != nil {
		t.Fatal(err)
	}
	return []float64{
		m.bed.metric(t, "isthmus_consul_requests_total"), list, float64(m.consul.bytes.Load()) / 1000,
		requests, float64(m.bed.writes(t)), float64(m.kube.bytes.Load()) / 1000,
	}
}

// settle waits until all effects of a change are over. Isthmus reads Consul's list at most once a second.
func (m meter) settle(t *testing.T) {
	t.Helper()
	const span = 1100 * time.Millisecond
	now := func() int64 { return m.consul.bytes.Load() + m.kube.bytes.Load() }
	for last, since := now(), time.Now(); time.Since(since) < span; time.Sleep(20 * time.Millisecond) {
		if bytes := now(); bytes != last {
			last, since = bytes, time.Now()
		}
	}
}
