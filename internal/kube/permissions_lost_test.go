package kube

import (
	"fmt"
	"slices"
	"testing"
	"time"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestPermissionsLost verifies that, when isthmus loses its permissions in one of two namespaces, the live objects
// there stay and the other namespace is written; and that a new grant is noticed within seconds, with few requests.
func TestPermissionsLost(t *testing.T) {
	t.Parallel()
	const here, there, user, away = "rights-here", "rights-there", "rights-lost", 10
	b, api, admin := newFakeState(here), newClient(t), newAdmin(t)
	b.options.Placement.Rules = []mesh.Rule{{Services: []string{"away-*"}, Namespace: there}}
	config := rest.CopyConfig(apiServer(t).REST)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	for _, namespace := range []string{here, there} {
		if err := api.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
			t.Fatal(err)
		}
		grant(t, admin, config, namespace)
	}
	setAll := func(version string) {
		b.set("near", map[string]string{"1": version})
		for n := range away {
			b.set(fmt.Sprint("away-", n), map[string]string{"1": version})
		}
	}
	setAll("v1")
	r := start(t, b, func(o *Options) { o.REST = config })
	r.waitReady(t)
	seen := record(t, there)

	revoke(t, admin, config, there)
	began, before := time.Now(), r.attempts(t)["apply"]
	setAll("v2")
	eventually(t, []string{"v2"}, endpoints(t, api, here))
	eventually(t, float64(away), func() float64 {
		return r.value(t, "isthmus_kubernetes_failed_services", "reason", string(metav1.StatusReasonForbidden))
	})
	if got, want := endpoints(t, api, there)(), slices.Repeat([]string{"v1"}, away); !slices.Equal(got, want) {
		t.Errorf("without permissions: %v", got)
	}
	grant(t, admin, config, there)
	eventually(t, slices.Repeat([]string{"v2"}, away), endpoints(t, api, there))
	eventually(t, 0.0, func() float64 { return r.value(t, "isthmus_kubernetes_failed_services") })
	eventually(t, 1, r.told(MessageWriteWorks))
	if told := r.told(MessageWriteFailed)(); told != 1 {
		t.Errorf("%d lines for one permission", told)
	}
	// Each service was rejected once and written once. The canary was tried more often.
	if tries, most := r.attempts(t)["apply"]-before, 1+2*away+1+int(time.Since(began)/canaryRetry); tries > most {
		t.Errorf("%d tries to write in %s, expected at most %d", tries, time.Since(began), most)
	}
	seen.assertNothingRemoved(t)
}

// grant grants a user all permissions that isthmus needs in a namespace, and waits until they are in force.
func grant(t *testing.T, admin client.Client, config *rest.Config, namespace string) {
	t.Helper()
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "writer"},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"networking.istio.io"}, Resources: []string{"serviceentries", "workloadentries"}, Verbs: []string{"*"}},
			{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"*"}},
		},
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "writer"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: config.Impersonate.UserName}},
	}
	for _, object := range []client.Object{role, binding} {
		if err := admin.Create(t.Context(), object); client.IgnoreAlreadyExists(err) != nil {
			t.Fatal(err)
		}
	}
	awaitRight(t, config, namespace, true)
}

// revoke takes the permissions away.
func revoke(t *testing.T, admin client.Client, config *rest.Config, namespace string) {
	t.Helper()
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "writer"}}
	if err := admin.Delete(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	awaitRight(t, config, namespace, false)
}

func awaitRight(t *testing.T, config *rest.Config, namespace string, want bool) {
	t.Helper()
	c, err := client.New(config, client.Options{Scheme: object.Scheme, Mapper: object.Mapper})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, want, func() bool {
		return c.List(t.Context(), &networkingv1.ServiceEntryList{}, client.InNamespace(namespace)) == nil
	})
}
