package kube

import (
	"slices"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/test/testbed/faults"
)

// TestConnectionFaults verifies that, whatever happens to the connection to the API server, live objects stay, changes
// arrive when the connection works again, log and metric report the fault, and the retries are few.
func TestConnectionFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(*faults.Wire) (heal func())
		// slow reports whether requests succeed.
		slow bool
	}{
		{name: "down", spoil: func(w *faults.Wire) func() { w.Cut(); return w.Restore }},
		{name: "silent", spoil: func(w *faults.Wire) func() { return w.Poison("timeout", map[string]int64{"timeout": 0}) }},
		{name: "reset", spoil: func(w *faults.Wire) func() { return w.Poison("reset_peer", map[string]int64{"timeout": 50}) }},
		{name: "cut-short", spoil: func(w *faults.Wire) func() { return w.Poison("limit_data", map[string]int64{"bytes": 3000}) }},
		{name: "slow", slow: true, spoil: func(w *faults.Wire) func() {
			return w.Poison("latency", map[string]int64{"latency": 400, "jitter": 200})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ns := "wire-" + c.name
			b, api := newFakeState(ns), newClient(t)
			wire, config := faults.REST(t, apiServer(t).REST)
			b.set("web", map[string]string{"1": "v1", "2": "v1"})
			b.set("db", map[string]string{"1": "v1"})
			r := start(t, b, func(o *Options) { o.REST = config })
			r.waitReady(t)
			seen := record(t, ns)
			heal := c.spoil(wire)
			began, before := time.Now(), r.attempts(t)["apply"]
			b.set("web", map[string]string{"1": "v2", "2": "v2"})
			if !c.slow {
				eventually(t, true, func() bool { return r.told(MessageUnreachable)() > 0 })
				eventually(t, 1.0, func() float64 { return r.value(t, "isthmus_kubernetes_api_unreachable") })
				b.set("db", map[string]string{"1": "v2"})
				eventually(t, true, func() bool { return r.attempts(t)["apply"] >= before+4 })
				heal()
			}
			eventually(t, slices.Sorted(slices.Values([]string{
				"SE " + ns + "/db.consul", "SE " + ns + "/web.consul",
				"WLE " + ns + "/" + wle("db", "1") + " " + map[bool]string{true: "v1", false: "v2"}[c.slow],
				"WLE " + ns + "/" + wle("web", "1") + " v2", "WLE " + ns + "/" + wle("web", "2") + " v2",
			})), objects(t, api, ns))
			if c.slow {
				if told := r.told(MessageUnreachable)(); told > 0 {
					t.Errorf("%d failures logged for an API server that is only slow", told)
				}
				heal()
			} else {
				eventually(t, true, func() bool { return r.told(MessageReachable)() > 0 })
				eventually(t, 0.0, func() float64 { return r.value(t, "isthmus_kubernetes_api_unreachable") })
			}
			// Two services of three objects: 50 ms, 100 ms ... 2 s between the tries of each, and the last writes.
			if tries, most := r.attempts(t)["apply"]-before, 3*(7+int(time.Since(began)/maxRetry))+6; tries > most {
				t.Errorf("%d tries to write in %s, expected at most %d", tries, time.Since(began), most)
			}
			seen.assertNothingRemoved(t)
		})
	}
}
