package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// podPort is the port of the application in the pod.
const podPort = 9098

// inboundHarness is a pod with Istio's complete sidecar that has a Kubernetes Service and registers itself in Consul.
type inboundHarness struct {
	podHarness
	// self is the registration of the pod, vm that of a virtual machine.
	self, vm instance
	// before is the inbound configuration of the sidecar without isthmus.
	before string
	probes int
}

func newInboundHarness(t *testing.T) *inboundHarness {
	t.Helper()
	testbed.RequirePod(t, "curl")
	w := &inboundHarness{podHarness: podHarness{harness: newHarness(t)}}
	var err error
	if w.pod, err = w.run.StartPod(t.Context(), testbed.PodOptions{}); err != nil {
		t.Fatal(err)
	}
	w.createPod(t)
	if w.istiod, err = w.run.StartIstiodWith(t.Context(), w.kube, testbed.IstiodOptions{Pod: w.pod}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.pod.StartSidecar(t.Context(), w.kube, w.istiod); err != nil {
		t.Fatal(err)
	}
	w.self = instance{service: "student", id: "student-0", address: w.pod.Address, port: podPort}
	w.vm = instance{service: "on-vm", id: "on-vm", address: "203.0.113.9", port: 8080}
	w.awaitInbound(t, func(now string) error {
		for _, part := range []string{w.chain(), "DownstreamTlsContext", "HttpConnectionManager", "inbound|" + fmt.Sprint(podPort) + "||"} {
			if !strings.Contains(now, part) {
				return fmt.Errorf("the inbound configuration without isthmus has no %s:\n%s", part, now)
			}
		}
		w.before = now
		return nil
	})
	return w
}

// chain is the name of the filter chains of the pod's port.
func (w *inboundHarness) chain() string { return fmt.Sprintf("0.0.0.0_%d", podPort) }

// createPod creates the object of the pod and its Kubernetes Service.
func (w *inboundHarness) createPod(t *testing.T) {
	t.Helper()
	client, err := kubernetes.NewForConfig(w.kube.REST)
	if err != nil {
		t.Fatal(err)
	}
	ctx, labels := t.Context(), map[string]string{"app": "consumer"}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "consumer"},
		Spec: corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{
			{Name: "http", Port: 80, TargetPort: intstr.FromInt32(podPort), Protocol: corev1.ProtocolTCP},
		}},
	}
	if _, err := client.CoreV1().Services(consumerNamespace).Create(ctx, service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "consumer", Labels: labels},
		Spec:       corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}
	if pod, err = client.CoreV1().Pods(consumerNamespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: w.pod.Address, PodIPs: []corev1.PodIP{{IP: w.pod.Address}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
	if _, err := client.CoreV1().Pods(consumerNamespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// restartIstiod restarts istiod, so that it computes the configuration of the sidecar anew.
func (w *inboundHarness) restartIstiod(t *testing.T) {
	t.Helper()
	w.istiod.Stop()
	w.awaitIstiod(t)
}

// awaitKinds waits until istiod has exactly these kinds of objects for a service.
func (w *inboundHarness) awaitKinds(t *testing.T, i instance, want ...string) {
	t.Helper()
	awaitObjects(t, w.istiod, i.service, want, func(o testbed.IstiodObject) string {
		if o.Namespace == consumerNamespace {
			return ""
		}
		return o.Kind
	})
}

// awaitInbound reads the inbound configuration of the sidecar until check accepts it.
func (w *inboundHarness) awaitInbound(t *testing.T, check func(now string) error) {
	t.Helper()
	eventually(t, func(context.Context) error { return check(w.inbound(t)) })
}

// inbound returns the filter chains of the sidecar's inbound listener and the inbound clusters, as indented JSON.
func (w *inboundHarness) inbound(t *testing.T) string {
	t.Helper()
	var listeners, clusters struct {
		Configs []map[string]any `json:"configs"`
	}
	for url, page := range map[string]any{
		"config_dump?resource=dynamic_listeners&name_regex=virtualInbound": &listeners,
		"config_dump?resource=dynamic_active_clusters":                     &clusters,
	} {
		text, err := w.output(t.Context(), "curl", "--silent", "--show-error", "http://127.0.0.1:15000/"+url)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(text), page); err != nil {
			t.Fatal(err)
		}
	}
	var parts []any
	for _, listener := range listeners.Configs {
		state, _ := listener["active_state"].(map[string]any)
		content, _ := state["listener"].(map[string]any)
		parts = append(parts, content["filter_chains"])
	}
	for _, cluster := range clusters.Configs {
		content, _ := cluster["cluster"].(map[string]any)
		if name, _ := content["name"].(string); strings.HasPrefix(name, "inbound|") {
			parts = append(parts, content)
		}
	}
	text, err := json.MarshalIndent(parts, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
