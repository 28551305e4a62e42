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

// bed is a catalog in Consul, a Kubernetes API, and isthmus between them. It starts when it is first needed, and stops
// with its owner.
type bed struct {
	benchSize
	world
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

// running returns when isthmus has written everything, and everybody is idle.
func (b *bed) running(t *testing.T) {
	t.Helper()
	b.servers(t)
	if b.isthmus == nil {
		b.startIsthmus(t, way{output: "kube"})
		b.ready(t)
	}
	b.quiet(t)
}

// benchPatience is how long a part of a benchmark may take before it is given up.
const benchPatience = 15 * time.Minute

// way is how an isthmus is set up; by default between Consul itself and the API server itself.
type way struct {
	output, consul, more string
	kube                 *testbed.Kube
	args                 []string
}

// startIsthmus starts isthmus over HTTPS, in place of the one that runs. It leaves the floor's own services alone.
func (b *bed) startIsthmus(t *testing.T, w way) {
	t.Helper()
	b.stopIsthmus()
	if w.kube == nil {
		w.kube = b.kube
	}
	config := filepath.Join(b.catalog.folder, "isthmus.yaml")
	content := fmt.Sprintf(`
sources: [{address: "https://%s", tls: {caFile: %q}, services: {exclude: ["%s*"]}}]
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

// ready waits until isthmus has written everything.
func (b *bed) ready(t *testing.T) {
	t.Helper()
	if err := testbed.Poll(t.Context(), benchPatience, b.isthmus.IsReady); err != nil {
		t.Fatal(err)
	}
}

// quiet waits until isthmus and Consul have done what a start makes them do: they have used next to no CPU for a
// second.
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
