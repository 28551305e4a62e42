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

// runningStore is an output whose store runs. Like the engine, it forgets a hold that is released.
type runningStore struct {
	*runningOutput
	// disconnected reports whether the replica is not connected to Consul.
	disconnected atomic.Bool
	mu           sync.Mutex
	released     []string
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

// Release implements contract.Feedback.
func (r *runningStore) Release(source string) {
	r.mu.Lock()
	r.released = append(r.released, source)
	r.mu.Unlock()
	r.Store().Save(contract.Change{Holds: map[string]guard.Hold{}})
}

// ReportConflicts implements contract.Feedback.
func (r *runningStore) ReportConflicts(contract.Conflicts) <-chan struct{} {
	taken := make(chan struct{})
	close(taken)
	return taken
}

// Connected implements contract.Feedback.
func (r *runningStore) Connected(context.Context) bool { return !r.disconnected.Load() }

// TakeOver implements contract.Feedback.
func (r *runningStore) TakeOver(context.Context, contract.Snapshot) {}

func (r *runningStore) releases() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.released)
}

func oneHold() map[string]guard.Hold {
	return map[string]guard.Hold{"consul": {Since: time.Now().UTC(), Reason: "20 of 20 instances went", Instances: 20, Services: 10}}
}

// TestHoldsArePublished verifies that the ConfigMap has the holds, that an event reports them, and that an annotation
// releases them on every replica.
func TestHoldsArePublished(t *testing.T) {
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
	snapshot, err := standby.Store().Load(t.Context())
	if err != nil || len(snapshot.Holds)+len(snapshot.Services) > 0 {
		t.Fatalf("restored %v, %v", snapshot, err)
	}
	held := oneHold()
	leader.Store().Save(contract.Change{Holds: held})
	standby.Store().Save(contract.Change{Holds: held})
	eventually(t, []string{"RemovalsHeld"}, events(t, c, ns))

	// A replica that starts now restores the hold.
	third := startWithStore(t, b, election("three"))
	snapshot, err = third.Store().Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(held, snapshot.Holds); diff != "" {
		t.Errorf("restored holds (-want +got):\n%s", diff)
	}

	request, err := holdstatus.NewRequest(apiServer(t).REST, client.ObjectKey{Namespace: ns, Name: "isthmus-consul"}, "consul")
	if err != nil {
		t.Fatal(err)
	}
	told, err := request.Release(t.Context())
	if err != nil || told != "20 instances, 10 services" {
		t.Errorf("summary %q, %v", told, err)
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
		t.Errorf("the annotation remains: %q", requested)
	}
	if _, err := request.Release(t.Context()); err == nil || !strings.Contains(err.Error(), `source "consul" has no held removals`) {
		t.Errorf("a second request: %v", err)
	}
}

// events returns the reasons of the events in a namespace, sorted.
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

// TestNoHoldNoConfigMap verifies that isthmus creates no ConfigMap if it never held a removal.
func TestNoHoldNoConfigMap(t *testing.T) {
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

// TestTwoLeadersPublishOneHold verifies that two replicas that both lead, and detect a mass removal at different
// times, publish one hold, write it when it changes, and do not overwrite each other.
func TestTwoLeadersPublishOneHold(t *testing.T) {
	t.Parallel()
	const ns = "twins-that-hold"
	b, api := newFakeState(ns), newClient(t)
	one, other := startWithStore(t, b, nil), startWithStore(t, b, nil)
	one.waitReady(t)
	other.waitReady(t)
	began := time.Now().UTC().Truncate(time.Second)
	hold := func(r *runningStore, late time.Duration, instances int) {
		r.Store().Save(contract.Change{Holds: map[string]guard.Hold{"consul": {
			Since: began.Add(late), Reason: fmt.Sprint("seen after ", late), Instances: instances,
		}}})
	}
	hold(one, time.Second, 20)
	eventually(t, []string{"RemovalsHeld"}, events(t, api, ns))
	hold(other, 0, 20)
	const changes = 6
	for n := range changes {
		hold(one, time.Second, n)
		eventually(t, guard.Hold{Since: began.Add(time.Second), Reason: "seen after 1s", Instances: n}, func() guard.Hold {
			return publishedStatus(t, api, ns).Holds["consul"]
		})
	}
	request, err := holdstatus.NewRequest(apiServer(t).REST, client.ObjectKey{Namespace: ns, Name: "isthmus-consul"}, "consul")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := request.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, map[string]int{"consul": 1}, func() map[string]int { return publishedStatus(t, api, ns).Releases })
	eventually(t, []string{"RemovalsHeld", "RemovalsReleased"}, events(t, api, ns))
	writes := 0
	for _, r := range []*runningStore{one, other} {
		eventually(t, []string{"consul"}, r.releases)
		for _, count := range r.writes(t) {
			writes += count
		}
	}
	if most := 1 + 1 + changes + 1; writes > most { // The hold, the count of the other replica, the changes, the release.
		t.Errorf("%d writes, not %d", writes, most)
	}
}

// publishedStatus returns the status in the ConfigMap.
func publishedStatus(t *testing.T, c client.Client, namespace string) holdstatus.Status {
	t.Helper()
	var found corev1.ConfigMap
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "isthmus-consul"}, &found); client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	said, err := holdstatus.StatusOf(&found)
	if err != nil {
		t.Fatal(err)
	}
	return said
}
