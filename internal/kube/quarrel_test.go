package kube

import (
	"testing"
)

// TestTwins holds that two isthmus of one configuration, each of which believes to be alone, don't fight.
func TestTwins(t *testing.T) {
	t.Parallel()
	const ns = "twins"
	b, api := newBoard(ns), newClient(t)
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
	for _, r := range []*running{one, other} {
		if writes := r.writes(t)["apply"]; writes > 2+2*changes+changes {
			t.Errorf("%d writes for %d changes", writes, 2*changes)
		}
		if told := r.told("somebody else keeps changing")(); told > 0 {
			t.Errorf("they are taken for a quarrel:\n%s", r.log)
		}
	}
}

// TestQuarrel holds that two isthmus that disagree about a service slow down and say so, that other services go on,
// and that what changes in the registry is written at once all the same.
func TestQuarrel(t *testing.T) {
	t.Parallel()
	const ns = "quarrel"
	b, other, api := newBoard(ns), newBoard(ns), newClient(t)
	b.set("web", map[string]string{"1": "v1"})
	other.set("web", map[string]string{"1": "v2"})
	other.setComplete(false) // so that it takes nothing away that only the first one has
	one, two := start(t, b, nil), start(t, other, nil)
	eventually(t, true, func() bool {
		return one.told("somebody else keeps changing")()+two.told("somebody else keeps changing")() > 0
	})
	rewrites := one.value(t, "isthmus_kubernetes_rewrites_total") + two.value(t, "isthmus_kubernetes_rewrites_total")
	if rewrites < tolerated || rewrites > 4*tolerated {
		t.Errorf("put right %v times before it slowed down, expected some %d of each", rewrites, tolerated)
	}
	b.set("db", map[string]string{"1": "v1"})
	eventually(t, true, func() bool { return len(objects(t, api, ns)()) == 4 })
	if err := two.stop(); err != nil {
		t.Fatal(err)
	}
	b.set("web", map[string]string{"1": "v3"})
	eventually(t, []string{"v1", "v3"}, endpoints(t, api, ns))
}
