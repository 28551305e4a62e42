package kube

import (
	"fmt"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/kube/holdstatus"
)

// TestClockSkew verifies that the times in a lease decide nothing, however wrong the clock of the leader is. The
// leader keeps leading. A standby waits until the lease was not renewed for leaseDuration by its own clock, no longer
// and no shorter.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		jump time.Duration
	}{
		{"ahead", time.Hour},
		{"behind", -time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ns := "clock-" + c.name
			b, api, admin := newFakeState(ns), newClient(t), newAdmin(t)
			b.set("web", map[string]string{"1": "v1"})
			leader := start(t, b, elect(ns, "leader"))
			leader.waitReady(t)
			standby := start(t, b, elect(ns, "standby"))
			standby.waitReady(t)
			key := client.ObjectKey{Namespace: ns, Name: "isthmus-consul"}
			// The clock jumps, and the lease has the wrong time until the leader renews it.
			eventually(t, "<nil>", func() string { return fmt.Sprint(jump(t, admin, key, c.jump, "")) })
			var lease coordinationv1.Lease
			eventually(t, true, func() bool {
				err := admin.Get(t.Context(), key, &lease)
				return err == nil && time.Since(lease.Spec.RenewTime.Time).Abs() < time.Minute
			})
			b.set("web", map[string]string{"1": "v2"})
			eventually(t, []string{"v2"}, endpoints(t, api, ns))
			for name, r := range map[string]*runningOutput{"leader": leader, "standby": standby} {
				if terms, want := r.told(MessageLeading)(), map[string]int{"leader": 1, "standby": 0}[name]; terms != want {
					t.Errorf("the %s began %d terms, not %d", name, terms, want)
				}
			}

			// When a leader with such a clock dies, the other replica leads after leaseDuration, not after an hour and not at once.
			if err := leader.stop(); err != nil {
				t.Fatal(err)
			}
			eventually(t, 1.0, func() float64 { return standby.value(t, "isthmus_leader") })
			if err := standby.stop(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "<nil>", func() string { return fmt.Sprint(jump(t, admin, key, c.jump, "dead")) })
			died := time.Now()
			next := start(t, b, elect(ns, "next"))
			eventually(t, 1.0, func() float64 { return next.value(t, "isthmus_leader") })
			if silence := time.Since(died); silence < next.options.Election.LeaseDuration {
				t.Errorf("it leads %s after the last renewal", silence)
			}
			b.set("web", map[string]string{"1": "v3"})
			eventually(t, []string{"v3"}, endpoints(t, api, ns))
		})
	}
}

// jump sets the renew time of a lease to a time that is wrong by a duration, and the holder if one is given.
func jump(t *testing.T, admin client.Client, key client.ObjectKey, by time.Duration, holder string) error {
	t.Helper()
	var lease coordinationv1.Lease
	if err := admin.Get(t.Context(), key, &lease); err != nil {
		return err
	}
	wrong := metav1.NewMicroTime(time.Now().Add(by))
	lease.Spec.RenewTime = &wrong
	if holder != "" {
		lease.Spec.HolderIdentity, lease.Spec.AcquireTime, lease.Spec.LeaseDurationSeconds = &holder, &wrong, new(int32(6))
	}
	return admin.Update(t.Context(), &lease)
}

// TestClockSkewOfHolds verifies that releases do not depend on the clocks of the replica that holds and the one that
// releases: one clock is ahead, and one steps back before the next hold.
func TestClockSkewOfHolds(t *testing.T) {
	t.Parallel()
	const ns = "clock-holds"
	b, api := newFakeState(ns), newClient(t)
	leader := startWithStore(t, b, elect(ns, "leader"))
	leader.waitReady(t)
	standby := startWithStore(t, b, elect(ns, "standby"))
	standby.waitReady(t)
	request, err := holdstatus.NewRequest(apiServer(t).REST, client.ObjectKey{Namespace: ns, Name: "isthmus-consul"}, "consul")
	if err != nil {
		t.Fatal(err)
	}
	var done []string
	for _, wrong := range []time.Duration{time.Hour, -time.Hour, -2 * time.Hour} {
		hold := guard.Hold{Since: time.Now().Add(wrong).UTC(), Reason: wrong.String()}
		for _, r := range []*runningStore{standby, leader} {
			r.Store().Save(contract.Change{Holds: map[string]guard.Hold{"consul": hold}})
		}
		eventually(t, wrong.String(), func() string { return publishedStatus(t, api, ns).Holds["consul"].Reason })
		if _, err := request.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		done = append(done, "consul")
		eventually(t, len(done), func() int { return publishedStatus(t, api, ns).Releases["consul"] })
		for _, r := range []*runningStore{leader, standby} { // Each hold was released once.
			eventually(t, done, r.releases)
		}
	}
}
