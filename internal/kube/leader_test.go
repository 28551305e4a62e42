package kube

import (
	"testing"
	"time"
)

// TestOnlyTheLeaderWrites holds that of two replicas one writes, and that the other goes on when the first stops: nothing
// is lost, nothing is written twice.
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
	if err := first.stop(); err != nil { // gives the lease back, so the other need not wait for its end
		t.Fatal(err)
	}
	b.set("web", map[string]string{"1": "v3"})
	eventually(t, []string{"SE election/web.consul", "WLE election/" + wle("web", "1") + " v3"}, objects(t, c, ns))
	assertWrites(t, second, map[string]int{"apply": 1})
}

// TestDisconnectedReplicaYieldsTheLease holds that of two that stand by, the one that is in touch with Consul leads next; and that
// one that isn't does, where there is no other.
func TestDisconnectedReplicaYieldsTheLease(t *testing.T) {
	t.Parallel()
	const ns = "cut-off"
	b := newFakeState(ns)
	leader := startWithStore(t, b, elect(ns, "leader"))
	leader.waitReady(t)
	blind, seeing := startWithStore(t, b, elect(ns, "blind")), startWithStore(t, b, elect(ns, "seeing"))
	blind.blind.Store(true)
	blind.waitReady(t)
	seeing.waitReady(t)
	if err := leader.stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 1.0, func() float64 { return seeing.value(t, "isthmus_leader") })
	if terms := blind.told(MessageLeading)(); terms > 0 {
		t.Errorf("who is cut off began %d terms", terms)
	}
	if err := seeing.stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 1.0, func() float64 { return blind.value(t, "isthmus_leader") })
}
