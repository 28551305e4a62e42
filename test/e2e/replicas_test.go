package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/isthmus-mesh/isthmus/internal/kube"
	"github.com/isthmus-mesh/isthmus/test/testbed"
)

const services = 200

// TestLeaderKilled verifies that all of 200 changes arrive, and none is written twice, when the leader of two replicas
// is killed in the middle. The API server counts the writes.
func TestLeaderKilled(t *testing.T) {
	w := newHarness(t)
	w.registerAll(t, "v1")
	replicas := [2]*testbed.Isthmus{w.startReplica(t), w.startReplica(t)}
	for _, replica := range replicas {
		if err := replica.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.awaitAll(t, "v1")
	before := w.applied(t)

	for n := range services {
		w.register(t, numbered(n, "v2"))
		if n == services/2 {
			leader := leaderOf(t, replicas)
			if err := leader.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.awaitAll(t, "v2")
	// The API server may have carried out a write of the killed leader without counting it.
	if writes := w.applied(t) - before; writes > services {
		t.Errorf("%d changes cost %d writes", services, writes)
	}
	if terms := strings.Count(replicas[0].Log()+replicas[1].Log(), kube.MessageLeading); terms != 2 {
		t.Errorf("%d terms began, not 2", terms)
	}
}

// TestAPIServerGone verifies that changes during an outage of the API server of 20 seconds arrive afterwards, that
// isthmus writes nothing else, and that the process does not restart.
func TestAPIServerGone(t *testing.T) {
	w := newHarness(t)
	w.registerAll(t, "v1")
	daemon := w.startReplica(t)
	if err := daemon.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.awaitAll(t, "v1")

	const away, from, to = 20 * time.Second, services / 4, services * 3 / 4
	ticker := time.NewTicker(away / (to - from))
	defer ticker.Stop()
	for n := range services {
		switch {
		case n == from:
			w.awaitCount(t, "v2", from) // so that later writes can be counted
			w.kube.APIServer.Kill()
		case n == to:
			if err := w.kube.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		case n > from && n < to:
			<-ticker.C
		}
		w.register(t, numbered(n, "v2"))
	}
	w.awaitAll(t, "v2")
	select {
	case <-daemon.Done():
		t.Fatal("the daemon ended")
	default:
	}
	// The API server counts from its restart on.
	if writes := w.applied(t); writes != services-from {
		t.Errorf("%d changes cost %d writes", services-from, writes)
	}
	if told := strings.Count(daemon.Log(), kube.MessageUnreachable); told < 1 || told > 3 {
		t.Errorf("the log reports %d times that the API server is unreachable:\n%s", told, daemon.Log())
	}
}

func numbered(n int, version string) instance {
	name := fmt.Sprintf("service-%03d", n)
	return instance{service: name, id: name, address: fmt.Sprint("10.8.0.", n), port: 8080, meta: map[string]string{"version": version}}
}

func (w *harness) registerAll(t *testing.T, version string) {
	t.Helper()
	for n := range services {
		w.register(t, numbered(n, version))
	}
}

// awaitAll waits until every instance has a version.
func (w *harness) awaitAll(t *testing.T, version string) {
	t.Helper()
	w.awaitCount(t, version, services)
}

// awaitCount waits until every object exists and a number of instances have a version.
func (w *harness) awaitCount(t *testing.T, version string, count int) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		entries, err := w.istio.NetworkingV1().ServiceEntries(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		workloads, err := w.istio.NetworkingV1().WorkloadEntries(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		ready := 0
		for _, workload := range workloads.Items {
			if workload.Spec.Labels["version"] == version {
				ready++
			}
		}
		if len(entries.Items) != services || len(workloads.Items) != services || ready != count {
			return fmt.Errorf("%d ServiceEntries, %d WorkloadEntries, %d of them %s",
				len(entries.Items), len(workloads.Items), ready, version)
		}
		return nil
	})
}

// applied returns the number of apply requests that the API server has received.
func (w *harness) applied(t *testing.T) int {
	t.Helper()
	total := 0.0
	for _, resource := range []string{"serviceentries", "workloadentries"} {
		count, err := w.kube.Requests(t.Context(), "APPLY", resource)
		if err != nil {
			t.Fatal(err)
		}
		total += count
	}
	return int(total)
}

// startReplica starts a daemon with a lease that is short enough for a test.
func (w *harness) startReplica(t *testing.T) *testbed.Isthmus {
	t.Helper()
	return w.startReplicaWith(t, "")
}

// startReplicaWith starts a daemon with such a lease and more configuration for Kubernetes.
func (w *harness) startReplicaWith(t *testing.T, more string) *testbed.Isthmus {
	t.Helper()
	config := filepath.Join(t.TempDir(), "isthmus.yaml")
	content := "kubernetes:\n  leaderElection: {leaseDuration: 4s, renewDeadline: 3s, retryPeriod: 500ms}\n" + more
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon, err := w.run.StartIsthmus(w.consul, w.kube, "--namespace", namespace, "--config", config)
	if err != nil {
		t.Fatal(err)
	}
	return daemon
}

// leaderOf returns the replica that reports itself as the leader.
func leaderOf(t *testing.T, replicas [2]*testbed.Isthmus) *testbed.Isthmus {
	t.Helper()
	for _, replica := range replicas {
		if leads, err := replica.Metric(t.Context(), "isthmus_leader"); err == nil && leads == 1 {
			return replica
		}
	}
	t.Fatal(errors.New("no replica leads"))
	return nil
}
