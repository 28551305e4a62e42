package kube

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestTwoLeadersDoNotFight verifies that two isthmus with the same configuration, both in the leading role, do
// not correct each other.
func TestTwoLeadersDoNotFight(t *testing.T) {
	t.Parallel()
	const ns = "two-leaders"
	b, api := newFakeState(ns), newClient(t)
	b.set("web", map[string]string{"1": "v1"})
	one, other := start(t, b, nil), start(t, b, nil)
	one.waitReady(t)
	other.waitReady(t)
	const changes = 20
	for range changes {
		for _, version := range []string{"v2", "v1"} {
			b.set("web", map[string]string{"1": version})
			eventually(t, []string{"SE " + ns + "/web.consul", "WLE " + ns + "/" + wle("web", "1") + " " + version}, objects(t, api, ns))
		}
	}
	for _, r := range []*runningOutput{one, other} {
		if writes := r.attempts(t)["apply"]; writes > 2+2*changes+changes {
			t.Errorf("%d writes for %d changes", writes, 2*changes)
		}
		if lines := r.told(MessageDriftBackoff)(); lines > 0 {
			t.Errorf("corrections are delayed:\n%s", r.log)
		}
	}
}

// TestDriftBackoff verifies that two isthmus with different configurations for a service slow down and log it.
func TestDriftBackoff(t *testing.T) {
	t.Parallel()
	const ns = "drift-backoff"
	b, other, api := newFakeState(ns), newFakeState(ns), newClient(t)
	b.set("web", map[string]string{"1": "v1"})
	other.set("web", map[string]string{"1": "v2"})
	other.setComplete(false) // It must not remove services that only the first isthmus has.
	one, two := start(t, b, nil), start(t, other, nil)
	eventually(t, true, func() bool { return one.told(MessageDriftBackoff)()+two.told(MessageDriftBackoff)() > 0 })
	const metric = "isthmus_kubernetes_drift_corrections_total"
	if corrections := one.value(t, metric) + two.value(t, metric); corrections < driftThreshold || corrections > 4*driftThreshold {
		t.Errorf("%v corrections before the first delay, want about %d of each", corrections, driftThreshold)
	}
	t.Run("other services are written", func(t *testing.T) {
		b.set("db", map[string]string{"1": "v1"})
		eventually(t, true, func() bool { return len(objects(t, api, ns)()) == 4 })
	})
	if err := two.stop(); err != nil {
		t.Fatal(err)
	}
	t.Run("a change of the service is written at once", func(t *testing.T) {
		b.set("web", map[string]string{"1": "v3"})
		eventually(t, []string{"v1", "v3"}, endpoints(t, api, ns))
	})
}

// TestDriftDelays verifies the delays of the corrections of one service.
func TestDriftDelays(t *testing.T) {
	web := mesh.Name{Source: "consul", Label: "web"}
	newBackoff := func() (*driftBackoff, *testbed.Log) {
		log := &testbed.Log{}
		b := newDriftBackoff(slog.New(slog.NewTextHandler(log, nil)), prometheus.NewCounter(prometheus.CounterOpts{Name: "corrections"}))
		b.finish(web, 1, 1)
		return &b, log
	}
	correct := func(b *driftBackoff, times int) time.Duration {
		for range times {
			b.finish(web, 1, 1)
		}
		return b.delay(web, 1)
	}
	for _, c := range []struct {
		name        string
		corrections int
		then        func(b *driftBackoff) time.Duration
		want        time.Duration
	}{
		{name: "below the threshold", corrections: driftThreshold, want: 0},
		{name: "first delay", corrections: driftThreshold + 1, want: time.Second},
		{name: "doubled delay", corrections: driftThreshold + 4, want: 8 * time.Second},
		{name: "longest delay", corrections: driftThreshold + 40, want: time.Minute},
		{name: "no write is no correction", corrections: driftThreshold, want: 0, then: func(b *driftBackoff) time.Duration {
			b.finish(web, 1, 0)
			return b.delay(web, 1)
		}},
		{name: "a new revision has no delay", corrections: driftThreshold + 4, want: 0, then: func(b *driftBackoff) time.Duration {
			return b.delay(web, 2)
		}},
		{name: "corrections of a new revision are delayed", corrections: driftThreshold + 4, want: 8 * time.Second, then: func(b *driftBackoff) time.Duration {
			b.finish(web, 2, 1)
			return b.delay(web, 2)
		}},
		{name: "quiet for long", corrections: driftThreshold + 4, want: 0, then: func(b *driftBackoff) time.Duration {
			time.Sleep(driftResetAfter + time.Second)
			return max(0, correct(b, driftThreshold))
		}},
		{name: "forgotten", corrections: driftThreshold + 4, want: time.Second, then: func(b *driftBackoff) time.Duration {
			b.forget(web)
			return correct(b, 1+driftThreshold+1)
		}},
		{name: "cleared", corrections: driftThreshold + 4, want: time.Second, then: func(b *driftBackoff) time.Duration {
			b.clear()
			return correct(b, 1+driftThreshold+1)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, log := newBackoff()
				got := max(0, correct(b, c.corrections))
				if c.then != nil {
					got = max(0, c.then(b))
				}
				if got != c.want {
					t.Errorf("delay %s, want %s", got, c.want)
				}
				if lines := countLines(log, MessageDriftBackoff); c.corrections > driftThreshold && lines == 0 {
					t.Error("the log does not report the delay")
				}
			})
		})
	}
}
