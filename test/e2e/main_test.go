// Package e2e verifies the promises of isthmus on real servers: Consul, a Kubernetes API, istiod and Envoy.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"
	istio "istio.io/client-go/pkg/clientset/versioned"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/isthmus-mesh/isthmus/internal/testutil"
	"github.com/isthmus-mesh/isthmus/test/testbed"
	"github.com/isthmus-mesh/isthmus/test/testbed/faults"
)

const namespace = "consul-services"

// harness is a set of servers that work together.
type harness struct {
	run     *testbed.Run
	consul  *testbed.Consul
	kube    *testbed.Kube
	istiod  *testbed.Istiod
	envoy   *testbed.Envoy
	isthmus *testbed.Isthmus
	// dns is the DNS address of isthmus, if it has one.
	dns   string
	istio *istio.Clientset
}

// shared is the harness of all tests that leave the servers running. It stops when the last test has ended.
var shared struct {
	once    sync.Once
	harness *harness
	err     error
}

func TestMain(m *testing.M) {
	if address := os.Getenv(istioProxyEnv); address != "" {
		if err := runIstioDNSProxy(address); err != nil {
			panic(err)
		}
		return
	}
	klog.SetLogger(logr.Discard()) // the clients' own messages
	ctrllog.SetLogger(logr.Discard())
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil { // tests wait more than they compute
		panic(err)
	}
	dir, err := os.MkdirTemp("", "isthmus-e2e")
	if err != nil {
		panic(err)
	}
	shared.harness = &harness{run: testbed.New(dir)}
	code := m.Run()
	shared.harness.run.Close()
	if code == 0 {
		shared.harness.closeIdle()
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

// sharedHarness returns the harness of all tests. It starts on first use.
func sharedHarness(t *testing.T) *harness {
	t.Helper()
	requireAll(t, testbed.IstiodBinary, testbed.EnvoyBinary)
	shared.once.Do(func() { shared.err = shared.harness.start(context.Background()) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.harness
}

// requireAll skips a test if a server that every test needs, or one of the given servers, is not available.
func requireAll(t *testing.T, more ...string) {
	t.Helper()
	testbed.Require(t, append(more, testbed.ConsulBinary, testbed.EtcdBinary, testbed.APIServerBinary, testbed.IsthmusBinary)...)
}

// start starts all servers.
func (w *harness) start(ctx context.Context) (err error) {
	if err = w.startBase(ctx); err != nil {
		return err
	}
	return w.startMesh(ctx, onLoopback)
}

// startMesh starts istiod, isthmus with a configuration, and Envoy with further addresses.
func (w *harness) startMesh(ctx context.Context, configuration string, addresses ...string) (err error) {
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

// onLoopback is testbed.OnLoopback with additions that some tests need from the start.
const onLoopback = `mesh:
  addresses: {allow: [127.0.0.0/8, localhost.localdomain]}
  tlsOrigination: [{services: [tls-origination], insecureSkipVerify: true, sni: tls-origination.example.com}]
`

// manyConnections lets two replicas and the test connect to Consul from one address, with a connection for each
// service.
const manyConnections = `limits { http_max_conns_per_client = 1000 }`

// startBase starts Consul and the Kubernetes API.
func (w *harness) startBase(ctx context.Context) (err error) {
	if w.consul, err = w.run.StartConsul(ctx, testbed.ConsulOptions{HCL: manyConnections}); err != nil {
		return err
	}
	if w.kube, err = w.run.StartKube(ctx); err != nil {
		return err
	}
	w.istio, err = istio.NewForConfig(w.kube.REST)
	return err
}

// newHarness returns a Consul and a Kubernetes API for one test, which may stop them. Such tests run in parallel,
// because they wait most of the time.
func newHarness(t *testing.T) *harness {
	t.Helper()
	requireAll(t)
	t.Parallel()
	w := &harness{run: testbed.ForTest(t)}
	if err := w.startBase(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.closeIdle)
	return w
}

// closeIdle closes the idle connections of the clients.
func (w *harness) closeIdle() {
	if w.kube != nil {
		w.kube.CloseIdle()
	}
}

// eventually waits until ok returns nil.
func eventually(t *testing.T, ok func(context.Context) error) {
	t.Helper()
	testutil.EventuallyContext(t, ok)
}
