package kube

import (
	"strings"
	"testing"
	"time"

	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestWebhookDown verifies that an admission webhook that can not be called delays only the objects that it is called
// for, and that these are written when the webhook is gone.
func TestWebhookDown(t *testing.T) {
	t.Parallel()
	const ns = "webhook-down"
	b, api, admin := newFakeState(ns), newClient(t), newAdmin(t)
	b.set("web", map[string]string{"1": "v1"})
	r := start(t, b, nil)
	r.waitReady(t)
	seen := record(t, ns)
	webhook := deadWebhook(ns, "web")
	if err := admin.Create(t.Context(), webhook); err != nil {
		t.Fatal(err)
	}
	probe := &networkingv1.WorkloadEntry{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "probe", Labels: map[string]string{mesh.ServiceLabel: "web"}},
		Spec:       networking.WorkloadEntry{Address: "10.0.0.1"},
	}
	eventually(t, true, func() bool {
		err := api.Create(t.Context(), probe.DeepCopy(), client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), "failed calling webhook")
	})
	began, before := time.Now(), r.attempts(t)["apply"]
	b.set("web", map[string]string{"1": "v2"})
	b.set("db", map[string]string{"1": "v1"})
	eventually(t, []string{
		"SE " + ns + "/db.consul", "SE " + ns + "/web.consul",
		"WLE " + ns + "/" + wle("db", "1") + " v1", "WLE " + ns + "/" + wle("web", "1") + " v1",
	}, objects(t, api, ns))
	eventually(t, 1.0, func() float64 {
		return r.value(t, "isthmus_kubernetes_failed_services", "reason", string(metav1.StatusReasonInternalError))
	})
	eventually(t, 1, r.told("failed calling webhook"))
	if err := admin.Delete(t.Context(), webhook); err != nil {
		t.Fatal(err)
	}
	eventually(t, []string{"v1", "v2"}, endpoints(t, api, ns))
	eventually(t, 0.0, func() float64 { return r.value(t, "isthmus_kubernetes_failed_services") })
	eventually(t, 1, r.told(MessageWriteWorks))
	if told := r.told(MessageWriteFailed)(); told != 1 {
		t.Errorf("%d lines for one failure", told)
	}
	// 50 ms, 100 ms ... 2 s between the tries, and the two objects of the other service.
	if tries, most := r.attempts(t)["apply"]-before, 2+7+int(time.Since(began)/maxRetry); tries > most {
		t.Errorf("%d tries to write in %s, expected at most %d", tries, time.Since(began), most)
	}
	seen.assertNothingRemoved(t)
}

// deadWebhook returns a webhook for all WorkloadEntries of a service in a namespace, at an address without a listener.
func deadWebhook(namespace, service string) *registrationv1.ValidatingWebhookConfiguration {
	return &registrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Webhooks: []registrationv1.ValidatingWebhook{{
			Name:          "unreachable.example.com",
			ClientConfig:  registrationv1.WebhookClientConfig{URL: new("https://127.0.0.1:1/")},
			FailurePolicy: new(registrationv1.Fail),
			Rules: []registrationv1.RuleWithOperations{{
				Operations: []registrationv1.OperationType{registrationv1.OperationAll},
				Rule: registrationv1.Rule{
					APIGroups: []string{"networking.istio.io"}, APIVersions: []string{"*"}, Resources: []string{"workloadentries"},
				},
			}},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace}},
			ObjectSelector:          &metav1.LabelSelector{MatchLabels: map[string]string{mesh.ServiceLabel: service}},
			SideEffects:             new(registrationv1.SideEffectClassNone),
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
}
