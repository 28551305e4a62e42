package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// testSplit sends one call of ten to v2.
func (w *podHarness) testSplit(t *testing.T) {
	w.split(t, studentHost)
	w.awaitSplit(t, studentHost)
}

// testBareSplit follows docs/migrate.md: a rule cannot contain a host without a dot, unless it is the host of a
// Service.
func (w *podHarness) testBareSplit(t *testing.T) {
	rewrite(t, w.config, "")
	client, err := kubernetes.NewForConfig(w.kube.REST)
	if err != nil {
		t.Fatal(err)
	}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "student-service"},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{
			{Name: "http", Port: 80}, {Name: "http-native", Port: studentPort},
		}},
	}
	if _, err := client.CoreV1().Services(consumerNamespace).Create(t.Context(), service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.split(t, "student-service", studentHost)
	w.awaitSplit(t, "student-service")
	w.awaitSplit(t, studentHost)
}

// split sends the calls of hosts to both versions of student-service, until the test ends.
func (w *podHarness) split(t *testing.T, hosts ...string) {
	t.Helper()
	client := w.istio.NetworkingV1()
	meta := metav1.ObjectMeta{Name: "student-service"}
	rule := &networkingv1.DestinationRule{ObjectMeta: meta, Spec: networking.DestinationRule{
		Host: studentHost, Subsets: []*networking.Subset{
			{Name: "v1", Labels: map[string]string{"version": "v1"}}, {Name: "v2", Labels: map[string]string{"version": "v2"}},
		},
	}}
	to := func(subset string, weight int32) *networking.HTTPRouteDestination {
		return &networking.HTTPRouteDestination{Weight: weight, Destination: &networking.Destination{Host: studentHost, Subset: subset}}
	}
	route := &networkingv1.VirtualService{ObjectMeta: meta, Spec: networking.VirtualService{
		Hosts: hosts, Http: []*networking.HTTPRoute{{Route: []*networking.HTTPRouteDestination{to("v1", 90), to("v2", 10)}}},
	}}
	if _, err := client.DestinationRules(consumerNamespace).Create(t.Context(), rule, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.VirtualServices(consumerNamespace).Create(t.Context(), route, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		err := client.VirtualServices(consumerNamespace).Delete(ctx, meta.Name, metav1.DeleteOptions{})
		err = errors.Join(err, client.DestinationRules(consumerNamespace).Delete(ctx, meta.Name, metav1.DeleteOptions{}))
		if err != nil {
			t.Error(err)
		}
	})
}

// awaitSplit waits until the calls to a host are split, without a port and with the native one.
func (w *podHarness) awaitSplit(t *testing.T, host string) {
	t.Helper()
	for _, authority := range []string{host, fmt.Sprint(host, ":", studentPort)} {
		eventually(t, func(ctx context.Context) error {
			answers, err := w.call(ctx, authority, 200)
			if err == nil && (answers["v2"] < 1 || answers["v2"] > 60) { // 20 are expected, and 100 without a rule
				err = fmt.Errorf("%s: answers: %v", authority, answers)
			}
			return err
		})
	}
}
