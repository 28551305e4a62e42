package kube

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestContested verifies that an admission webhook that alters our objects is reported once and does not cause endless
// writes, and that objects that it leaves alone are written.
func TestContested(t *testing.T) {
	const ns = "contested"
	alter(t, ns, `[{"op":"add","path":"/metadata/labels/version","value":"v9"}]`)
	b, c := newFakeState(ns), newClient(t)
	b.set("web", map[string]string{"1": "v1"})
	r := start(t, b, nil)
	r.waitReady(t)
	eventually(t, []string{"SE contested/web.consul", "WLE contested/" + wle("web", "1") + " v1"}, objects(t, c, ns))
	eventually(t, 1, func() int { return strings.Count(r.log.String(), "is altered while it is written") })
	before := r.attempts(t)
	b.set("other", map[string]string{"1": "v9"}) // The webhook does not alter it.
	eventually(t, 4, func() int { return len(objects(t, c, ns)()) })
	// The service web may be reconciled once more, after the last change by the webhook.
	eventually(t, true, func() bool { return r.attempts(t)["apply"] >= before["apply"]+2 })
	if more := r.attempts(t)["apply"] - before["apply"]; more > 3 {
		t.Errorf("%d applies for two objects", more)
	}
}

// alter runs an admission webhook that patches every WorkloadEntry that is written in a namespace.
func alter(t *testing.T, namespace, patch string) {
	t.Helper()
	webhook := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
			return
		}
		kind := admissionv1.PatchTypeJSONPatch
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true, Patch: []byte(patch), PatchType: &kind}
		if err := json.NewEncoder(w).Encode(review); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(webhook.Close)
	c := newAdmin(t)
	effects := registrationv1.SideEffectClassNone
	configuration := &registrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Webhooks: []registrationv1.MutatingWebhook{{
			Name: "labels.example.com",
			ClientConfig: registrationv1.WebhookClientConfig{
				URL:      &webhook.URL,
				CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: webhook.Certificate().Raw}),
			},
			Rules: []registrationv1.RuleWithOperations{{
				Operations: []registrationv1.OperationType{registrationv1.Create, registrationv1.Update},
				Rule: registrationv1.Rule{
					APIGroups: []string{"networking.istio.io"}, APIVersions: []string{"*"}, Resources: []string{"workloadentries"},
				},
			}},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace}},
			SideEffects:             &effects,
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
	if err := c.Create(t.Context(), configuration); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Delete(context.Background(), configuration); err != nil {
			t.Error(err)
		}
	})
}
