package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	istio "istio.io/client-go/pkg/clientset/versioned"

	"github.com/isthmus-mesh/isthmus/test/testbed"
	"github.com/isthmus-mesh/isthmus/test/testbed/bench"
)

// bed is a catalog in Consul, a Kubernetes API, and isthmus between them. It starts on first use and stops with its
// owner.
type bed struct {
	benchSize
	harness
	owner   *testing.T
	catalog *benchCatalog
	// starts counts the starts of isthmus, for the names of profiles.
	starts int
}

// servers starts Consul with its catalog, and the Kubernetes API.
func (b *bed) servers(t *testing.T) {
	t.Helper()
	if b.run != nil {
		return
	}
	b.run = testbed.ForTest(b.owner)
	b.catalog = startBenchCatalog(t, b.run, b.benchSize)
	b.consul = b.catalog.consul
	var err error
	if b.kube, err = b.run.StartKube(b.owner.Context()); err != nil {
		t.Fatal(err)
	}
	b.owner.Cleanup(b.closeIdle)
	if b.istio, err = istio.NewForConfig(b.kube.REST); err != nil {
		t.Fatal(err)
	}
}

// running returns when isthmus has written all objects and all processes are idle.
func (b *bed) running(t *testing.T) {
	t.Helper()
	b.servers(t)
	if b.isthmus == nil {
		b.startIsthmus(t, benchSetup{output: "kube"})
		b.ready(t)
	}
	b.quiet(t)
}

// benchTimeout is the time limit for one part of a benchmark.
const benchTimeout = 15 * time.Minute

// benchSetup is the configuration of an isthmus. The zero value connects it directly to Consul and the API server.
type benchSetup struct {
	output, consul, more string
	kube                 *testbed.Kube
	args                 []string
}

// startIsthmus starts isthmus over HTTPS, in place of the running one. It excludes the services of the floor.
func (b *bed) startIsthmus(t *testing.T, w benchSetup) {
	t.Helper()
	b.stopIsthmus()
	if w.kube == nil {
		w.kube = b.kube
	}
	config := filepath.Join(b.catalog.folder, "isthmus.yaml")
	content := fmt.Sprintf(`
sources: [{address: "https://%s", tls: {caFile: %q}, services: {exclude: ["%s*"]}}]
limits: {objects: 0}
mesh: {endpoints: %s}
%s
`, cmp.Or(w.consul, b.catalog.address), b.catalog.authority, floorPrefix, b.form, w.more)
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"--config", config, "--namespace", namespace, "--output", w.output, "--pprof"}, w.args...)
	var err error
	if b.isthmus, err = b.run.StartIsthmus(nil, w.kube, args...); err != nil {
		t.Fatal(err)
	}
	b.profile(t)
}

func (b *bed) stopIsthmus() {
	if b.isthmus != nil {
		b.isthmus.Stop()
		b.isthmus = nil
	}
}

// ready waits until isthmus has written all objects.
func (b *bed) ready(t *testing.T) {
	t.Helper()
	if err := testbed.Poll(t.Context(), benchTimeout, b.isthmus.IsReady); err != nil {
		t.Fatal(err)
	}
}

// quiet waits until the work of a start is over: isthmus and Consul have used almost no CPU for a second.
func (b *bed) quiet(t *testing.T) {
	t.Helper()
	const span, most = time.Second, 100 * time.Millisecond
	used := func() time.Duration {
		return bench.CPU(t, b.isthmus.PID()) + bench.CPU(t, b.consul.PID())
	}
	last, since := used(), time.Now()
	err := testbed.Poll(t.Context(), 2*time.Minute, func(context.Context) error {
		if time.Since(since) < span {
			return errors.New("it is not known yet")
		}
		now := used()
		busy := now-last > most
		last, since = now, time.Now()
		if busy {
			return errors.New("isthmus or Consul is busy")
		}
		return nil
	})
	if err != nil {
		t.Log(err, "; measuring nevertheless")
	}
}
