package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/isthmus-mesh/isthmus/test/testbed"
	"github.com/isthmus-mesh/isthmus/test/testbed/faults"
)

// endsWithin is less than half of the 30 seconds that Kubernetes gives a pod by default to end.
const endsWithin = 12 * time.Second

// slowWrites makes a start of 200 services last 40 seconds.
const slowWrites = "  writesPerSecond: 10\n"

// TestStopDuringStart verifies that SIGTERM during a start ends isthmus promptly and releases the lease, and that the
// next start writes only the missing objects.
func TestStopDuringStart(t *testing.T) {
	w := newHarness(t)
	w.registerAll(t, "v1")
	daemon := w.startReplicaWith(t, slowWrites)
	w.awaitSomeWrites(t)
	w.terminate(t, daemon)
	if holder := w.leaseHolder(t); holder != "" {
		t.Errorf("the lease is still held by %q", holder)
	}
	if strings.Contains(daemon.Log(), "level=ERROR") {
		t.Errorf("the log has an error for a normal stop:\n%s", daemon.Log())
	}
	before, live := w.applied(t), w.live(t)
	if live == 2*services {
		t.Fatal("everything was written before the end; that shows nothing")
	}
	next := w.startReplica(t)
	if err := next.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.awaitAll(t, "v1")
	if writes := w.applied(t) - before; writes != 2*services-live {
		t.Errorf("%d writes for %d objects that were missing", writes, 2*services-live)
	}
}

// TestStopWhileTheAPIServerHangs verifies that SIGTERM ends isthmus promptly while the API server does not respond to
// its writes, and that the next start leaves no object missing and writes none twice.
func TestStopWhileTheAPIServerHangs(t *testing.T) {
	w := newHarness(t)
	w.registerAll(t, "v1")
	wire, config := faults.REST(t, w.kube.REST)
	far := *w
	far.kube = &testbed.Kube{Kubeconfig: kubeconfig(t, config)}
	daemon := far.startReplicaWith(t, slowWrites)
	w.awaitSomeWrites(t)
	heal := wire.Poison("timeout", map[string]int64{"timeout": 0})
	w.terminate(t, daemon)
	heal()
	next := w.startReplica(t)
	if err := next.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.awaitAll(t, "v1")
	// The API server may have carried out the writes without a response. Isthmus does not write them again.
	if writes := w.applied(t); writes != 2*services {
		t.Errorf("%d writes for %d objects", writes, 2*services)
	}
}

// awaitSomeWrites waits until a start has written some objects.
func (w *harness) awaitSomeWrites(t *testing.T) {
	t.Helper()
	eventually(t, func(context.Context) error {
		if got := w.applied(t); got < services/10 {
			return fmt.Errorf("%d writes", got)
		}
		return nil
	})
}

// terminate sends SIGTERM to a daemon, as Kubernetes does, and waits for its end.
func (w *harness) terminate(t *testing.T, daemon *testbed.Isthmus) {
	t.Helper()
	began := time.Now()
	if err := daemon.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-daemon.Done():
		t.Logf("it ended after %s", time.Since(began).Round(time.Millisecond))
	case <-time.After(endsWithin):
		t.Fatalf("it still runs after %s:\n%s", endsWithin, daemon.Log())
	}
}

// live counts the objects in the mesh.
func (w *harness) live(t *testing.T) int {
	t.Helper()
	entries, err := w.istio.NetworkingV1().ServiceEntries(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	workloads, err := w.istio.NetworkingV1().WorkloadEntries(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return len(entries.Items) + len(workloads.Items)
}

// leaseHolder returns the holder of the only lease of isthmus.
func (w *harness) leaseHolder(t *testing.T) string {
	t.Helper()
	client, err := kubernetes.NewForConfig(w.kube.REST)
	if err != nil {
		t.Fatal(err)
	}
	leases, err := client.CoordinationV1().Leases(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(leases.Items) != 1 {
		t.Fatalf("%d leases, %v", len(leases.Items), err)
	}
	if holder := leases.Items[0].Spec.HolderIdentity; holder != nil {
		return *holder
	}
	return ""
}

// kubeconfig writes the access to an API server to a file.
func kubeconfig(t *testing.T, config *rest.Config) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	content, err := clientcmd.Write(api.Config{
		Clusters:       map[string]*api.Cluster{"far": {Server: config.Host, InsecureSkipTLSVerify: true}},
		AuthInfos:      map[string]*api.AuthInfo{"admin": {Token: config.BearerToken}},
		Contexts:       map[string]*api.Context{"far": {Cluster: "far", AuthInfo: "admin"}},
		CurrentContext: "far",
	})
	if err == nil {
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}
