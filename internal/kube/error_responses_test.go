package kube

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/isthmus-mesh/isthmus/test/testbed/faults"
)

// TestErrorResponses verifies that an error response delays only the writes that it is for: live objects stay, other
// services are written, log and metric report a lasting error once, and it ends without an operator.
func TestErrorResponses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		code   int
		reason metav1.StatusReason
		// after is the Retry-After in seconds.
		after int
	}{
		{name: "conflict", code: http.StatusConflict, reason: metav1.StatusReasonConflict},
		{name: "error", code: http.StatusInternalServerError, reason: metav1.StatusReasonInternalError},
		{name: "unavailable", code: http.StatusServiceUnavailable, reason: metav1.StatusReasonServiceUnavailable},
		{name: "overload", code: http.StatusTooManyRequests, reason: metav1.StatusReasonTooManyRequests, after: 1},
		{name: "long-overload", code: http.StatusTooManyRequests, reason: metav1.StatusReasonTooManyRequests, after: 12},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ns := "answers-" + c.name
			b, api := newFakeState(ns), newClient(t)
			front, config := faults.NewFront(t, apiServer(t).REST)
			b.set("web", map[string]string{"1": "v1"})
			r := start(t, b, func(o *Options) { o.REST = config })
			r.waitReady(t)
			seen := record(t, ns)
			var refused atomic.Int64
			front.Set(func(w http.ResponseWriter, r *http.Request) bool {
				if !isWrite(r, "web") && !isWrite(r, "new") {
					return false
				}
				refused.Add(1)
				if c.after > 0 {
					w.Header().Set("Retry-After", strconv.Itoa(c.after))
				}
				faults.Refuse(w, c.code, c.reason)
				return true
			})
			began := time.Now()
			b.set("web", map[string]string{"1": "v2"})
			b.set("new", map[string]string{"1": "v1"}) // It has no live objects yet.
			b.set("db", map[string]string{"1": "v1"})
			eventually(t, []string{
				"SE " + ns + "/db.consul", "SE " + ns + "/web.consul",
				"WLE " + ns + "/" + wle("db", "1") + " v1", "WLE " + ns + "/" + wle("web", "1") + " v1",
			}, objects(t, api, ns))
			eventually(t, 2.0, func() float64 {
				return r.value(t, "isthmus_kubernetes_failed_services", "reason", string(c.reason))
			})
			if told := r.told(MessageWriteFailed)(); told != 1 {
				t.Errorf("%d lines for one failure", told)
			}
			front.Set(nil)
			eventually(t, slices.Sorted(slices.Values([]string{
				"SE " + ns + "/db.consul", "SE " + ns + "/new.consul", "SE " + ns + "/web.consul",
				"WLE " + ns + "/" + wle("db", "1") + " v1", "WLE " + ns + "/" + wle("new", "1") + " v1",
				"WLE " + ns + "/" + wle("web", "1") + " v2",
			})), objects(t, api, ns))
			eventually(t, 0.0, func() float64 { return r.value(t, "isthmus_kubernetes_failed_services") })
			eventually(t, 1, r.told(MessageWriteWorks))
			// Two services of at most two refused objects each, a conflict twice: 50 ms, 100 ms ... 2 s between the tries.
			if got, most := int(refused.Load()), 8*(7+int(time.Since(began)/maxRetry)); got > most {
				t.Errorf("%d tries to write in %s, expected at most %d", got, time.Since(began), most)
			}
			if told := r.told(MessageUnreachable)(); told > 0 {
				t.Errorf("a response counts as unreachable")
			}
			seen.assertNothingRemoved(t)
		})
	}
}

// TestTransientErrorResponse verifies that an error that ends with the second try costs only that try.
func TestTransientErrorResponse(t *testing.T) {
	t.Parallel()
	const ns = "answers-passing"
	b, api := newFakeState(ns), newClient(t)
	front, config := faults.NewFront(t, apiServer(t).REST)
	b.set("web", map[string]string{"1": "v1"})
	r := start(t, b, func(o *Options) { o.REST = config })
	r.waitReady(t)
	var refused atomic.Bool
	front.Set(func(w http.ResponseWriter, r *http.Request) bool {
		if !isWrite(r, "web") || refused.Swap(true) {
			return false
		}
		faults.Refuse(w, http.StatusConflict, metav1.StatusReasonConflict)
		return true
	})
	b.set("web", map[string]string{"1": "v2"})
	eventually(t, []string{"SE " + ns + "/web.consul", "WLE " + ns + "/" + wle("web", "1") + " v2"}, objects(t, api, ns))
	if strings.Contains(r.log.String(), "level=ERROR") {
		t.Error("a transient conflict is logged as an error")
	}
}
