package kube

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/test/testbed/faults"
)

// TestChangeOfFormKeepsEndpoints verifies that a service has all its endpoints after each write while it moves between the
// forms of endpoints, and while the writes of one kind fail for a time.
func TestChangeOfFormKeepsEndpoints(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		from, to mesh.Form
		// refused is the kind of which the writes fail first.
		refused string
	}{
		{name: "to-inline", from: mesh.WorkloadEntryForm, to: mesh.InlineForm},
		{name: "to-workloads", from: mesh.InlineForm, to: mesh.WorkloadEntryForm},
		{name: "to-inline-refused", from: mesh.WorkloadEntryForm, to: mesh.InlineForm, refused: "/serviceentries/"},
		{name: "to-workloads-refused", from: mesh.InlineForm, to: mesh.WorkloadEntryForm, refused: "/workloadentries/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ns, api := "form-"+c.name, newClient(t)
			front, config := faults.NewFront(t, apiServer(t).REST)
			b := newFakeState(ns)
			b.options.Form = c.from
			instances := map[string]string{"1": "v1", "2": "v2", "3": "v3"}
			b.set("web", instances)
			start(t, b, func(o *Options) { o.REST = config }).waitReady(t)
			selected := selectedEndpoints(t, api, ns)
			want := []string{"v1", "v2", "v3"}
			eventually(t, want, selected)

			refusing, refused := c.refused != "", make(chan struct{}, 100)
			var mu sync.Mutex
			front.Set(func(w http.ResponseWriter, r *http.Request) bool {
				mu.Lock()
				defer mu.Unlock()
				if !isWrite(r, "web") {
					return false
				}
				if diff := cmp.Diff(want, selected()); diff != "" {
					t.Errorf("endpoints before %s %s (-want +got):\n%s", r.Method, r.URL.Path, diff)
				}
				if !refusing || !strings.Contains(r.URL.Path, c.refused) {
					return false
				}
				refused <- struct{}{}
				faults.Refuse(w, http.StatusInternalServerError, metav1.StatusReasonInternalError)
				return true
			})
			b.options.Form = c.to
			b.set("web", instances)
			if c.refused != "" {
				for range len(instances) {
					<-refused
				}
				eventually(t, want, selected)
				mu.Lock()
				refusing = false
				mu.Unlock()
			}
			eventually(t, c.to, func() mesh.Form { return formOf(t, api, ns) })
			eventually(t, want, selected)
		})
	}
}

// TestChangeOfFormWaitsForPendingSources verifies that a merged service keeps its WorkloadEntries and the entry that selects
// them until all of its sources have reported.
func TestChangeOfFormWaitsForPendingSources(t *testing.T) {
	const ns = "form-pending"
	b, c := newFakeState(ns), newClient(t)
	b.set("web", map[string]string{"east/1": "v1", "west/1": "v2"})
	r := start(t, b, nil)
	r.waitReady(t)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	b.outputs, b.pending, b.options.Form = nil, []string{"east"}, mesh.InlineForm
	b.set("web", map[string]string{"west/1": "v2"})
	start(t, b, nil).waitReady(t)
	eventually(t, []string{"v1", "v2"}, selectedEndpoints(t, c, ns))
	b.mu.Lock()
	b.pending = nil
	b.mu.Unlock()
	b.set("web", map[string]string{"east/1": "v1", "west/1": "v2"})
	eventually(t, mesh.InlineForm, func() mesh.Form { return formOf(t, c, ns) })
	eventually(t, []string{"v1", "v2"}, selectedEndpoints(t, c, ns))
}

// selectedEndpoints returns the versions of the endpoints of the services in a namespace: those in a ServiceEntry, and the
// WorkloadEntries if an entry selects them.
func selectedEndpoints(t *testing.T, c client.Client, namespace string) func() []string {
	return func() []string {
		var entries networkingv1.ServiceEntryList
		var workloads networkingv1.WorkloadEntryList
		// The order of the lists matters: between them, a service may only move to the form that is read second.
		for _, list := range []client.ObjectList{&workloads, &entries} {
			if err := c.List(t.Context(), list, client.InNamespace(namespace)); err != nil {
				return []string{err.Error()}
			}
		}
		versions := []string{}
		for _, entry := range entries.Items {
			for _, endpoint := range entry.Spec.Endpoints {
				versions = append(versions, endpoint.Labels["version"])
			}
			if entry.Spec.WorkloadSelector == nil {
				continue
			}
			for _, workload := range workloads.Items {
				versions = append(versions, workload.Spec.Labels["version"])
			}
		}
		slices.Sort(versions)
		return versions
	}
}

// formOf returns the form of the only service of a namespace. It is not valid while there are objects of both forms.
func formOf(t *testing.T, c client.Client, namespace string) mesh.Form {
	t.Helper()
	inline, workloads := 0, 0
	for _, object := range objects(t, c, namespace)() {
		if strings.HasPrefix(object, "WLE ") {
			workloads++
		}
	}
	var entries networkingv1.ServiceEntryList
	if err := c.List(t.Context(), &entries, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries.Items {
		inline += len(entry.Spec.Endpoints)
	}
	switch {
	case inline > 0 && workloads == 0:
		return mesh.InlineForm
	case inline == 0 && workloads > 0:
		return mesh.WorkloadEntryForm
	default:
		return mesh.Form(fmt.Sprintf("%d inline, %d WorkloadEntries", inline, workloads))
	}
}
