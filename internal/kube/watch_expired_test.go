package kube

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/isthmus-mesh/isthmus/test/testbed/faults"
)

// TestWatchExpired verifies that a watch that the API server can not continue (410, because etcd was compacted or the
// API server restarted) starts again from a list: drift is corrected, nothing else is written, and the log has no
// warning.
func TestWatchExpired(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		refuse func(http.ResponseWriter)
		// counted is the value of the metric.
		counted float64
	}{
		{"answer", func(w http.ResponseWriter) { faults.Refuse(w, http.StatusGone, metav1.StatusReasonExpired) }, 2},
		// The API server's watch cache reports it in the stream.
		{"stream", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",` +
				`"message":"too old resource version: 1 (2)","reason":"Expired","code":410}}` + "\n"))
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			testExpired(t, "expired-"+c.name, c.refuse, c.counted)
		})
	}
}

func testExpired(t *testing.T, ns string, refuse func(http.ResponseWriter), counted float64) {
	t.Helper()
	b, api := newFakeState(ns), newClient(t)
	front, behind := faults.NewFront(t, apiServer(t).REST)
	wire, config := faults.REST(t, behind)
	b.set("web", map[string]string{"1": "v1"})
	b.set("db", map[string]string{"1": "v1"})
	r := start(t, b, func(o *Options) { o.REST = config })
	r.waitReady(t)
	before := r.writes(t)
	var refused atomic.Int64
	front.Set(func(w http.ResponseWriter, r *http.Request) bool {
		// Each watch that continues is rejected once. The next one starts from a new list.
		if r.URL.Query().Get("watch") != "true" || !strings.Contains(r.URL.Path, "entries") || refused.Add(1) > 2 {
			return false
		}
		refuse(w)
		return true
	})
	wire.Cut()
	gone := &networkingv1.WorkloadEntry{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: wle("web", "1")}}
	if err := api.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	wire.Restore()
	eventually(t, []string{
		"SE " + ns + "/db.consul", "SE " + ns + "/web.consul",
		"WLE " + ns + "/" + wle("db", "1") + " v1", "WLE " + ns + "/" + wle("web", "1") + " v1",
	}, objects(t, api, ns))
	eventually(t, true, func() bool { return refused.Load() >= 2 })
	eventually(t, counted, func() float64 { return r.value(t, "isthmus_kubernetes_watch_errors_total", "reason", "Expired") })
	b.set("db", map[string]string{"1": "v2"})
	eventually(t, []string{"v1", "v2"}, endpoints(t, api, ns))
	assertWrites(t, r, map[string]int{"apply": before["apply"] + 2})
	if strings.Contains(r.log.String(), "Expired") {
		t.Error("an expired watch is logged as a failure")
	}
}
