package kube

import (
	"testing"
	"time"
)

// TestOnlyTheLeaderWrites verifies that one of two replicas writes, and that the other one continues when the first
// stops, without lost or repeated writes.
func TestOnlyTheLeaderWrites(t *testing.T) {
	const ns = "election"
	b, c := newFakeState(ns), newClient(t)
	elect := func(identity string) func(*Options) {
		return func(o *Options) {
			o.Election = &Election{
				Namespace: ns, Name: "isthmus-consul", Identity: identity,
				LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 200 * time.Millisecond,
			}
		}
	}
	b.set("web", map[string]string{"1": "v1"})
	first := start(t, b, elect("first"))
	eventually(t, 2, func() int { return first.writes(t)["apply"] })
	second := start(t, b, elect("second"))
	second.waitReady(t)
	b.set("web", map[string]string{"1": "v2"})
	eventually(t, 3, func() int { return first.writes(t)["apply"] })
	if err := first.stop(); err != nil { // It releases the lease.
		t.Fatal(err)
	}
	b.set("web", map[string]string{"1": "v3"})
	eventually(t, []string{"SE election/web.consul", "WLE election/" + wle("web", "1") + " v3"}, objects(t, c, ns))
	assertWrites(t, second, map[string]int{"apply": 1})
}

// TestDisconnectedReplicaYieldsTheLease verifies that, of two standby replicas, the one that is connected to Consul
// leads next, and that a disconnected one leads if there is no other.
func TestDisconnectedReplicaYieldsTheLease(t *testing.T) {
	t.Parallel()
	const ns = "cut-off"
	b := newFakeState(ns)
	leader := startWithStore(t, b, elect(ns, "leader"))
	leader.waitReady(t)
	disconnected, connected := startWithStore(t, b, elect(ns, "disconnected")), startWithStore(t, b, elect(ns, "connected"))
	disconnected.disconnected.Store(true)
	disconnected.waitReady(t)
	connected.waitReady(t)
	if err := leader.stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 1.0, func() float64 { return connected.value(t, "isthmus_leader") })
	if terms := disconnected.told(MessageLeading)(); terms > 0 {
		t.Errorf("the disconnected replica led %d times", terms)
	}
	if err := connected.stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 1.0, func() float64 { return disconnected.value(t, "isthmus_leader") })
}
