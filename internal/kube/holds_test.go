package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/kube/holdstatus"
)

// runningStore is an output whose memory is at work. Like a bridge it forgets a hold that is released.
type runningStore struct {
	*runningOutput
	// blind says that it is out of touch with Consul.
	blind    atomic.Bool
	mu       sync.Mutex
	released []string
}

func startWithStore(t *testing.T, b *fakeState, change func(*Options)) *runningStore {
	t.Helper()
	r := &runningStore{}
	r.runningOutput = start(t, b, change)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- r.Store().Run(ctx, r)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

// Release implements bridge.Listener.
func (r *runningStore) Release(source string) {
	r.mu.Lock()
	r.released = append(r.released, source)
	r.mu.Unlock()
	r.Store().Save(contract.Change{Holds: map[string]guard.Hold{}})
}

// ReportConflicts implements bridge.Listener.
func (r *runningStore) ReportConflicts(contract.Conflicts) <-chan struct{} {
	taken := make(chan struct{})
	close(taken)
	return taken
}

// Connected implements bridge.Listener.
func (r *runningStore) Connected(context.Context) bool { return !r.blind.Load() }

// TakeOver implements bridge.Listener.
func (r *runningStore) TakeOver(context.Context, contract.Snapshot) {}

func (r *runningStore) releases() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.released)
}

func flood() map[string]guard.Hold {
	return map[string]guard.Hold{"consul": {Since: time.Now().UTC(), Reason: "20 of 20 instances went", Instances: 20, Services: 10}}
}

// TestHoldsAreKept holds that the ConfigMap says what is held, that an event tells of it, and that an annotation
// releases it on every replica.
func TestHoldsAreKept(t *testing.T) {
	t.Parallel()
	const ns = "holds"
	b, c := newFakeState(ns), newClient(t)
	election := func(identity string) func(*Options) {
		return func(o *Options) {
			o.Election = &Election{
				Namespace: ns, Name: "isthmus-consul", Identity: identity,
				LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 100 * time.Millisecond,
			}
		}
	}
	leader := startWithStore(t, b, election("one"))
	leader.waitReady(t)
	standby := startWithStore(t, b, election("two"))
	standby.waitReady(t)
	recollection, err := standby.Store().Load(t.Context())
	if err != nil || len(recollection.Holds)+len(recollection.Services) > 0 {
		t.Fatalf("recalled %v, %v", recollection, err)
	}
	held := flood()
	leader.Store().Save(contract.Change{Holds: held})
	standby.Store().Save(contract.Change{Holds: held})
	eventually(t, []string{"RemovalsHeld"}, events(t, c, ns))

	// A replica that starts now goes on from there.
	third := startWithStore(t, b, election("three"))
	recollection, err = third.Store().Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(held, recollection.Holds); diff != "" {
		t.Errorf("recalled holds (-want +got):\n%s", diff)
	}

	request, err := holdstatus.NewRequest(apiServer(t).REST, client.ObjectKey{Namespace: ns, Name: "isthmus-consul"}, "consul")
	if err != nil {
		t.Fatal(err)
	}
	told, err := request.Release(t.Context())
	if err != nil || told != "20 instances, 10 services" {
		t.Errorf("told %q, %v", told, err)
	}
	eventually(t, true, func() bool {
		_, held, err := request.Hold(t.Context())
		return !held && err == nil
	})
	for _, replica := range []*runningStore{leader, standby, third} {
		eventually(t, []string{"consul"}, func() []string { return slices.Compact(replica.releases()) })
	}
	eventually(t, []string{"RemovalsHeld", "RemovalsReleased"}, events(t, c, ns))
	var configMap corev1.ConfigMap
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "isthmus-consul"}, &configMap); err != nil {
		t.Fatal(err)
	}
	if requested := configMap.Annotations[holdstatus.ReleaseAnnotation]; requested != "" {
		t.Errorf("the request stands: %q", requested)
	}
	if _, err := request.Release(t.Context()); err == nil || !strings.Contains(err.Error(), `source "consul" has no held removals`) {
		t.Errorf("a second request: %v", err)
	}
}

// events returns the reasons of a namespace's events, sorted.
func events(t *testing.T, c client.Client, namespace string) func() []string {
	return func() []string {
		var list corev1.EventList
		if err := c.List(t.Context(), &list, client.InNamespace(namespace)); err != nil {
			return []string{err.Error()}
		}
		var reasons []string
		for _, event := range list.Items {
			reasons = append(reasons, event.Reason)
		}
		slices.Sort(reasons)
		return reasons
	}
}

// TestNothingHeldMakesNoConfigMap holds that an isthmus that never held anything leaves nothing behind.
func TestNothingHeldMakesNoConfigMap(t *testing.T) {
	const ns = "nothing-held"
	b, c := newFakeState(ns), newClient(t)
	b.set("web", map[string]string{"1": "v1"})
	r := startWithStore(t, b, nil)
	r.Store().Save(contract.Change{Holds: map[string]guard.Hold{}})
	r.waitReady(t)
	eventually(t, 0, func() int { return len(r.holds.Wake) })
	var list corev1.ConfigMapList
	if err := c.List(t.Context(), &list, client.InNamespace(ns)); err != nil || len(list.Items) > 0 {
		t.Errorf("%d ConfigMaps, %v", len(list.Items), err)
	}
}

// TestRecall holds that a start knows what stands: that of ours, by the sources that reported it.
func TestRecall(t *testing.T) {
	const ns = "recall"
	b := newFakeState(ns)
	b.set("web", map[string]string{"1": "v1", "east/2": "v2"})
	b.set("api", map[string]string{"1": "v1"})
	first := start(t, b, nil)
	first.waitReady(t)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	r := startWithStore(t, newFakeState(ns), nil)
	recollection, err := r.Store().Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, service := range recollection.Services {
		for _, instance := range service.Instances {
			got = append(got, fmt.Sprintf("%s %s", service.Key, instance.ID))
		}
	}
	slices.Sort(got)
	want := []string{"consul/api dc1/n1/1", "consul/web dc1/n1/1", "east/web dc1/n1/east/2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if age := time.Since(recollection.Changed); age < 0 || age > time.Minute {
		t.Errorf("it changed %s ago", age)
	}
}
