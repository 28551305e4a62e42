package kube

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/kube/holdstatus"
)

// TestTwins holds that two isthmus of one configuration, each of which believes to be alone, don't fight.
func TestTwins(t *testing.T) {
	t.Parallel()
	const ns = "twins"
	b, api := newFakeState(ns), newClient(t)
	b.set("web", map[string]string{"1": "v1"})
	one, other := start(t, b, nil), start(t, b, nil)
	one.waitReady(t)
	other.waitReady(t)
	const changes = 20
	for range changes {
		b.set("web", map[string]string{"1": "v2"})
		eventually(t, []string{"SE twins/web.consul", "WLE twins/" + wle("web", "1") + " v2"}, objects(t, api, ns))
		b.set("web", map[string]string{"1": "v1"})
		eventually(t, []string{"SE twins/web.consul", "WLE twins/" + wle("web", "1") + " v1"}, objects(t, api, ns))
	}
	for _, r := range []*runningOutput{one, other} {
		if writes := r.writes(t)["apply"]; writes > 2+2*changes+changes {
			t.Errorf("%d writes for %d changes", writes, 2*changes)
		}
		if told := r.told(MessageDriftBackoff)(); told > 0 {
			t.Errorf("they are taken for a quarrel:\n%s", r.log)
		}
	}
}

// TestTwinsThatHold holds that two of them that saw a flood begin at different moments tell of one, and that what is
// kept is written when it changes, and not because the other one says it differently.
func TestTwinsThatHold(t *testing.T) {
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
	if most := 1 + 1 + changes + 1; writes > most { // the first, the other's count, the changes, the release
		t.Errorf("%d writes, not %d", writes, most)
	}
}

// publishedStatus returns what the ConfigMap says.
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

// TestQuarrel holds that two isthmus that disagree about a service slow down and say so, that other services go on,
// and that what changes in the registry is written at once all the same.
func TestQuarrel(t *testing.T) {
	t.Parallel()
	const ns = "quarrel"
	b, other, api := newFakeState(ns), newFakeState(ns), newClient(t)
	b.set("web", map[string]string{"1": "v1"})
	other.set("web", map[string]string{"1": "v2"})
	other.setComplete(false) // so that it takes nothing away that only the first one has
	one, two := start(t, b, nil), start(t, other, nil)
	eventually(t, true, func() bool {
		return one.told(MessageDriftBackoff)()+two.told(MessageDriftBackoff)() > 0
	})
	rewrites := one.value(t, "isthmus_kubernetes_drift_corrections_total") + two.value(t, "isthmus_kubernetes_drift_corrections_total")
	if rewrites < driftThreshold || rewrites > 4*driftThreshold {
		t.Errorf("put right %v times before it slowed down, expected some %d of each", rewrites, driftThreshold)
	}
	b.set("db", map[string]string{"1": "v1"})
	eventually(t, true, func() bool { return len(objects(t, api, ns)()) == 4 })
	if err := two.stop(); err != nil {
		t.Fatal(err)
	}
	b.set("web", map[string]string{"1": "v3"})
	eventually(t, []string{"v1", "v3"}, endpoints(t, api, ns))
}
