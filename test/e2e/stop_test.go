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

// endsWithin is less than half of the 30 seconds that Kubernetes grants a pod by default to end.
const endsWithin = 12 * time.Second

// unhurried makes a start of 200 services last 40 seconds.
const unhurried = "  writesPerSecond: 10\n"

// TestStopDuringStart holds that SIGTERM in the middle of a start ends isthmus promptly and gives the lease back, and
// that the next start writes what is missing and nothing else.
func TestStopDuringStart(t *testing.T) {
	w := newWorld(t)
	w.registerAll(t, "v1")
	daemon := w.startReplicaWith(t, unhurried)
	w.awaitSomeWrites(t)
	w.terminate(t, daemon)
	if holder := w.leaseHolder(t); holder != "" {
		t.Errorf("the lease is still held by %q", holder)
	}
	if strings.Contains(daemon.Log(), "level=ERROR") {
		t.Errorf("an end is told as a trouble:\n%s", daemon.Log())
	}
	before, standing := w.applied(t), w.standing(t)
	if standing == 2*services {
		t.Fatal("everything was written before the end; that shows nothing")
	}
	next := w.startReplica(t)
	if err := next.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.awaitAll(t, "v1")
	if writes := w.applied(t) - before; writes != 2*services-standing {
		t.Errorf("%d writes for %d objects that were missing", writes, 2*services-standing)
	}
}

// TestStopWhileTheAPIServerHangs holds that SIGTERM ends isthmus promptly while the API server is silent in the middle
// of its writes, and that nothing is missing or written twice after the next start.
func TestStopWhileTheAPIServerHangs(t *testing.T) {
	w := newWorld(t)
	w.registerAll(t, "v1")
	wire, config := faults.REST(t, w.kube.REST)
	far := *w
	far.kube = &testbed.Kube{Kubeconfig: kubeconfig(t, config)}
	daemon := far.startReplicaWith(t, unhurried)
	w.awaitSomeWrites(t)
	heal := wire.Poison("timeout", map[string]int64{"timeout": 0})
	w.terminate(t, daemon)
	heal()
	next := w.startReplica(t)
	if err := next.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.awaitAll(t, "v1")
	// What was on its way when it went silent may have been carried out without an answer, but is not written again.
	if writes := w.applied(t); writes != 2*services {
		t.Errorf("%d writes for %d objects", writes, 2*services)
	}
}

// awaitSomeWrites waits until a start is under way.
func (w *world) awaitSomeWrites(t *testing.T) {
	t.Helper()
	eventually(t, func(context.Context) error {
		if got := w.applied(t); got < services/10 {
			return fmt.Errorf("%d writes", got)
		}
		return nil
	})
}

// terminate tells a daemon to end, as Kubernetes does, and waits until it has.
func (w *world) terminate(t *testing.T, daemon *testbed.Isthmus) {
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

// standing counts the objects in the mesh.
func (w *world) standing(t *testing.T) int {
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

// leaseHolder returns who holds the only lease of isthmus.
func (w *world) leaseHolder(t *testing.T) string {
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

// kubeconfig writes an access to an API server to a file.
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
