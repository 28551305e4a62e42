package kube

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/kube/holdstatus"
	"github.com/isthmus-mesh/isthmus/test/testbed/faults"
)

func isConfigMap(r *http.Request) bool { return strings.Contains(r.URL.Path, "/configmaps") }

func isConfigMapWrite(r *http.Request) bool {
	return isConfigMap(r) && (r.Method == http.MethodPut || r.Method == http.MethodPost)
}

// TestHoldsUnderFaults verifies that the ConfigMap has the holds when a fault is over, that a conflict counts as a
// failure only if it lasts, and that a failure is logged once.
func TestHoldsUnderFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		code   int
		reason metav1.StatusReason
		// times is how often the error is returned.
		times int
		// lines is how many errors are logged.
		lines int
	}{
		{"conflict", http.StatusConflict, metav1.StatusReasonConflict, 2, 0},
		{"lasting-conflict", http.StatusConflict, metav1.StatusReasonConflict, 5, 1},
		{"error", http.StatusInternalServerError, metav1.StatusReasonInternalError, 2, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ns := "holds-" + c.name
			b, api := newFakeState(ns), newClient(t)
			front, config := faults.NewFront(t, apiServer(t).REST)
			r := startWithStore(t, b, func(o *Options) { o.REST = config })
			r.waitReady(t)
			r.Store().Save(contract.Change{Holds: oneHold()})
			eventually(t, []string{"RemovalsHeld"}, events(t, api, ns))
			var refused atomic.Int64
			front.Set(func(w http.ResponseWriter, r *http.Request) bool {
				if !isConfigMapWrite(r) || refused.Add(1) > int64(c.times) {
					return false
				}
				faults.Refuse(w, c.code, c.reason)
				return true
			})
			r.Store().Save(contract.Change{Holds: map[string]guard.Hold{}})
			eventually(t, []string{"RemovalsHeld", "RemovalsReleased"}, events(t, api, ns))
			if got := r.told("level=ERROR")(); got != c.lines {
				t.Errorf("%d errors logged, want %d", got, c.lines)
			}
			eventually(t, c.lines, r.told(holdstatus.MessagePublishWorks))
			if got := r.value(t, "isthmus_kubernetes_writes_total", "kind", "ConfigMap", "result", string(c.reason)); got != float64(c.times) {
				t.Errorf("%v errors counted, want %d", got, c.times)
			}
		})
	}
}

// TestEventsUnderFaults verifies that an event that could not be created is created once when that works again, that
// the failure is logged once, and that an event without permission is dropped.
func TestEventsUnderFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		code   int
		reason metav1.StatusReason
		want   []string
	}{
		{"error", http.StatusInternalServerError, metav1.StatusReasonInternalError, []string{"RemovalsHeld", "RemovalsReleased"}},
		{"forbidden", http.StatusForbidden, metav1.StatusReasonForbidden, []string{"RemovalsReleased"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ns := "events-" + c.name
			b, api := newFakeState(ns), newClient(t)
			front, config := faults.NewFront(t, apiServer(t).REST)
			var refused atomic.Int64
			front.Set(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/events") || refused.Add(1) > 1 {
					return false
				}
				faults.Refuse(w, c.code, c.reason)
				return true
			})
			r := startWithStore(t, b, func(o *Options) { o.REST = config })
			r.waitReady(t)
			r.Store().Save(contract.Change{Holds: oneHold()})
			eventually(t, 1, func() int { return len(publishedStatus(t, api, ns).Holds) })
			eventually(t, 1, r.told(holdstatus.MessageEventFailed))
			r.Store().Save(contract.Change{Holds: map[string]guard.Hold{}})
			eventually(t, c.want, events(t, api, ns))
			if told := r.told(holdstatus.MessageEventFailed)(); told != 1 {
				t.Errorf("logged %d times, want once", told)
			}
		})
	}
}

// TestHoldsBeforeRestore verifies that a leader does not publish holds before it has restored them.
func TestHoldsBeforeRestore(t *testing.T) {
	t.Parallel()
	const ns = "holds-unknown"
	b, api := newFakeState(ns), newClient(t)
	first := startWithStore(t, b, nil)
	first.Store().Save(contract.Change{Holds: oneHold()})
	eventually(t, []string{"RemovalsHeld"}, events(t, api, ns))
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	next := startWithStore(t, b, nil)
	next.waitReady(t)
	if err := next.holds.Reconcile(t.Context(), func(string) {}); err != nil {
		t.Fatal(err)
	}
	snapshot, err := next.Store().Load(t.Context())
	if err != nil || len(snapshot.Holds) != 1 {
		t.Errorf("restored %v, %v", snapshot.Holds, err)
	}
	if writes := next.attempts(t); len(writes) > 0 {
		t.Errorf("it wrote %v", writes)
	}
}

// TestLateWriteOfHolds verifies that a previous leader that is cut off in the middle of a write of the holds gives it
// up, and that a write that arrives late does not undo the holds of the next leader.
func TestLateWriteOfHolds(t *testing.T) {
	t.Parallel()
	const ns = "holds-of-the-next"
	b, api := newFakeState(ns), newClient(t)
	front, config := faults.NewFront(t, apiServer(t).REST)
	old := startWithStore(t, b, func(o *Options) {
		o.REST = config
		elect(ns, "old")(o)
	})
	eventually(t, 1.0, func() float64 { return old.value(t, "isthmus_leader") })
	next := startWithStore(t, b, elect(ns, "next"))
	next.waitReady(t)
	first, second := oneHold(), oneHold()
	old.Store().Save(contract.Change{Holds: first})
	next.Store().Save(contract.Change{Holds: first})
	eventually(t, []string{"RemovalsHeld"}, events(t, api, ns))

	kept, given := make(chan *http.Request, 1), make(chan struct{})
	front.Set(func(_ http.ResponseWriter, r *http.Request) bool {
		switch {
		case isConfigMapWrite(r):
			select {
			case kept <- faults.Keep(t, r):
				hang(t.Context(), r)
				close(given)
			default: // Only the first write matters.
				hang(t.Context(), r)
			}
		case isLease(r):
			hang(t.Context(), r)
		default:
			return false
		}
		return true
	})
	old.Store().Save(contract.Change{Holds: map[string]guard.Hold{}})
	late := <-kept
	second["consul"] = guard.Hold{Since: second["consul"].Since, Reason: "more went", Instances: 30, Services: 15}
	next.Store().Save(contract.Change{Holds: second})
	said := func() string {
		var found corev1.ConfigMap
		if err := api.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "isthmus-consul"}, &found); err != nil {
			return err.Error()
		}
		return found.Data[holdstatus.StatusKey]
	}
	eventually(t, true, func() bool { return strings.Contains(said(), "more went") })
	eventually(t, 0.0, func() float64 { return old.value(t, "isthmus_leader") })
	<-given
	if got := front.Late(late); got != http.StatusConflict {
		t.Errorf("the late write got status %d", got)
	}
	if got := said(); !strings.Contains(got, "more went") {
		t.Errorf("the ConfigMap says %s", got)
	}
}
