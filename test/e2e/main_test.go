// Package e2e holds what isthmus promises on the real servers: Consul, a Kubernetes API, istiod and Envoy.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"
	istio "istio.io/client-go/pkg/clientset/versioned"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/isthmus-mesh/isthmus/test/testbed"
	"github.com/isthmus-mesh/isthmus/test/testbed/faults"
)

const namespace = "consul-services"

// world is a set of servers that work together.
type world struct {
	run     *testbed.Run
	consul  *testbed.Consul
	kube    *testbed.Kube
	istiod  *testbed.Istiod
	envoy   *testbed.Envoy
	isthmus *testbed.Isthmus
	// dns is where isthmus answers DNS, if it does.
	dns   string
	istio *istio.Clientset
}

// shared is the world of all tests that leave the servers up. It stops when the last test has ended.
var shared struct {
	once  sync.Once
	world *world
	err   error
}

func TestMain(m *testing.M) {
	klog.SetLogger(logr.Discard()) // the clients' own noise
	ctrllog.SetLogger(logr.Discard())
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil { // they wait more than they compute
		panic(err)
	}
	dir, err := os.MkdirTemp("", "isthmus-e2e")
	if err != nil {
		panic(err)
	}
	shared.world = &world{run: testbed.New(dir)}
	code := m.Run()
	shared.world.run.Close()
	if code == 0 {
		shared.world.closeIdle()
		if err := goleak.Find(faults.Leftovers()...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if code == 0 {
		_ = os.RemoveAll(dir) // it is temporary
	} else {
		fmt.Fprintln(os.Stderr, "the servers' logs are in", dir)
	}
	os.Exit(code)
}

// sharedWorld returns the world of all tests, which runs from the first use on.
func sharedWorld(t *testing.T) *world {
	t.Helper()
	requireAll(t, testbed.IstiodBinary, testbed.EnvoyBinary)
	shared.once.Do(func() { shared.err = shared.world.start(context.Background()) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.world
}

// requireAll skips a test that can't have the servers that every test needs, or those named.
func requireAll(t *testing.T, more ...string) {
	t.Helper()
	testbed.Require(t, append(more, testbed.ConsulBinary, testbed.EtcdBinary, testbed.APIServerBinary, testbed.IsthmusBinary)...)
}

// start starts everything.
func (w *world) start(ctx context.Context) (err error) {
	if err = w.startBase(ctx); err != nil {
		return err
	}
	return w.startMesh(ctx, onLoopback)
}

// startMesh starts istiod, isthmus by a configuration, and Envoy, which may have more addresses.
func (w *world) startMesh(ctx context.Context, configuration string, addresses ...string) (err error) {
	if w.istiod, err = w.run.StartIstiod(ctx, w.kube); err != nil {
		return err
	}
	config, err := w.run.Config(configuration)
	if err != nil {
		return err
	}
	port, err := testbed.FreePort()
	if err != nil {
		return err
	}
	w.dns = fmt.Sprint("127.0.0.1:", port)
	if w.isthmus, err = w.run.StartIsthmus(w.consul, w.kube, "--namespace", namespace, "--config", config, "--dns-addr", w.dns); err != nil {
		return err
	}
	if err = w.isthmus.Wait(ctx); err != nil {
		return err
	}
	w.envoy, err = w.run.StartEnvoy(ctx, w.istiod, addresses...)
	return err
}

// onLoopback is testbed.OnLoopback with what some tests need from the start.
const onLoopback = `mesh:
  addresses: {allow: [127.0.0.0/8, localhost.localdomain]}
  tlsOrigination: [{services: [tls-origination], insecureSkipVerify: true, sni: tls-origination.example.com}]
`

// roomy lets two replicas and the test itself connect to Consul from one address, with a connection for each service.
const roomy = `limits { http_max_conns_per_client = 1000 }`

// startBase starts Consul and the Kubernetes API.
func (w *world) startBase(ctx context.Context) (err error) {
	if w.consul, err = w.run.StartConsul(ctx, testbed.ConsulOptions{HCL: roomy}); err != nil {
		return err
	}
	if w.kube, err = w.run.StartKube(ctx); err != nil {
		return err
	}
	w.istio, err = istio.NewForConfig(w.kube.REST)
	return err
}

// newWorld returns a Consul and a Kubernetes API of the test's own, which it may stop. Such tests run side by side: they
// wait most of the time.
func newWorld(t *testing.T) *world {
	t.Helper()
	requireAll(t)
	t.Parallel()
	w := &world{run: testbed.ForTest(t)}
	if err := w.startBase(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.closeIdle)
	return w
}

// closeIdle closes what the clients keep open.
func (w *world) closeIdle() {
	if w.kube != nil {
		w.kube.CloseIdle()
	}
}

// eventually waits until ok returns nil.
func eventually(t *testing.T, ok func(context.Context) error) {
	t.Helper()
	if err := testbed.Poll(t.Context(), time.Minute, ok); err != nil {
		t.Fatal(err)
	}
}
