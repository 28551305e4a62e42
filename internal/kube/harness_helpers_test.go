package kube

import (
	"fmt"
	"slices"
	"testing"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/testutil"
)

// grantView lets the user "viewer" read namespaces, and nothing else.
func grantView(t *testing.T, _ client.Client) {
	t.Helper()
	c := newAdmin(t)
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "viewer"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"get", "list"}}},
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "viewer"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "viewer"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "viewer"}},
	}
	for _, object := range []client.Object{role, binding} {
		if err := c.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
}

// eventually waits until got returns want.
func eventually[T any](t *testing.T, want T, got func() T) {
	t.Helper()
	testutil.EventuallyEqual(t, want, got)
}

// newClient returns a client that reads from the API server, not from a cache.
func newClient(t *testing.T) client.Client {
	t.Helper()
	c, err := client.New(apiServer(t).REST, client.Options{Scheme: object.Scheme, Mapper: object.Mapper})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newAdmin returns a client for permissions, webhooks and leases.
func newAdmin(t *testing.T) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{rbacv1.AddToScheme, registrationv1.AddToScheme, coordinationv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(apiServer(t).REST, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// objects returns the live objects in namespaces: "kind namespace/name" and, for a WorkloadEntry, its version.
func objects(t *testing.T, c client.Client, namespaces ...string) func() []string {
	return func() []string {
		found := []string{}
		for _, namespace := range namespaces {
			var entries networkingv1.ServiceEntryList
			var workloads networkingv1.WorkloadEntryList
			for _, list := range []client.ObjectList{&entries, &workloads} {
				if err := c.List(t.Context(), list, client.InNamespace(namespace)); err != nil {
					return []string{err.Error()}
				}
			}
			for _, entry := range entries.Items {
				found = append(found, fmt.Sprintf("SE %s/%s", namespace, entry.Name))
			}
			for _, workload := range workloads.Items {
				found = append(found, fmt.Sprintf("WLE %s/%s %s", namespace, workload.Name, workload.Spec.Labels["version"]))
			}
		}
		slices.Sort(found)
		return found
	}
}

// deleteNamespace begins the deletion of a namespace. From then on nothing can be created in it.
func deleteNamespace(t *testing.T, c client.Client, name string) {
	t.Helper()
	if err := c.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		t.Fatal(err)
	}
}

// finalizeNamespace completes a deletion, as the namespace controller of a cluster does.
func finalizeNamespace(t *testing.T, c client.Client, name string) {
	t.Helper()
	var namespace corev1.Namespace
	if err := c.Get(t.Context(), client.ObjectKey{Name: name}, &namespace); err != nil {
		t.Fatal(err)
	}
	namespace.Spec.Finalizers = nil
	if err := c.SubResource("finalize").Update(t.Context(), &namespace); err != nil {
		t.Fatal(err)
	}
}

func makeNamespace(t *testing.T, c client.Client, name string) {
	t.Helper()
	create(t, c, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
}

func create(t *testing.T, c client.Client, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		if err := c.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(t *testing.T, c client.Client, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		if err := c.Delete(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
}

// endpoints returns the versions of all endpoints in a namespace, inline or as WorkloadEntries.
func endpoints(t *testing.T, c client.Client, namespace string) func() []string {
	return func() []string {
		var entries networkingv1.ServiceEntryList
		var workloads networkingv1.WorkloadEntryList
		for _, list := range []client.ObjectList{&entries, &workloads} {
			if err := c.List(t.Context(), list, client.InNamespace(namespace)); err != nil {
				return []string{err.Error()}
			}
		}
		versions := []string{}
		for _, entry := range entries.Items {
			for _, endpoint := range entry.Spec.Endpoints {
				versions = append(versions, endpoint.Labels["version"])
			}
		}
		for _, workload := range workloads.Items {
			versions = append(versions, workload.Spec.Labels["version"])
		}
		slices.Sort(versions)
		return versions
	}
}

// wle returns the name of the WorkloadEntry of an instance that fakeState.set made.
func wle(service, id string) string {
	name := mesh.Name{Source: "consul", Label: service}
	return name.WorkloadEntry(catalog.InstanceID{Datacenter: "dc1", Node: "n1", ServiceID: id})
}

// assertWrites waits for a count of writes, rejected ones included. The API server shows an object before its writer has the
// response.
func assertWrites(t *testing.T, r *runningOutput, want map[string]int) {
	t.Helper()
	eventually(t, want, func() map[string]int { return r.attempts(t) })
}
