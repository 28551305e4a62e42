package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

const (
	// consumerNamespace is the namespace of the pod.
	consumerNamespace = "default"
	studentHost       = "student-service.service.consul"
	studentPort       = 9098
	redisHost         = "redis.service.consul"
	redisPort         = "6379"
)

// podHarness is a harness with a consumer in a pod with Istio's complete sidecar. Its providers are on machines that
// the pod reaches: two versions of student-service, which register themselves.
type podHarness struct {
	*harness
	pod    *testbed.Pod
	v1, v2 *testbed.Process
	// config is the configuration file of isthmus.
	config string
}

// gateway is a placeholder in arguments for this machine's address in the network of the pod, which is unknown before
// the pod starts.
const gateway = "GATEWAY"

func newPodHarness(t *testing.T, options testbed.PodOptions, isthmus ...string) *podHarness {
	t.Helper()
	testbed.RequirePod(t, "curl", "redis-server", "redis-cli")
	requireAll(t, testbed.StudentBinary)
	w := &podHarness{harness: newHarness(t)}
	if err := w.startPod(t.Context(), options, isthmus); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *podHarness) startPod(ctx context.Context, options testbed.PodOptions, isthmus []string) (err error) {
	if w.pod, err = w.run.StartPod(ctx, options); err != nil {
		return err
	}
	if w.istiod, err = w.run.StartIstiodWith(ctx, w.kube, testbed.IstiodOptions{Pod: w.pod}); err != nil {
		return err
	}
	if err = w.startProviders(); err != nil {
		return err
	}
	if w.config, err = w.run.Config(`mesh: {hosts: ["{{ .Name }}"]}` + "\n"); err != nil {
		return err
	}
	args := []string{"--namespace", namespace, "--config", w.config}
	for _, arg := range isthmus {
		args = append(args, strings.ReplaceAll(arg, gateway, w.pod.Gateway))
	}
	if w.isthmus, err = w.run.StartIsthmus(w.consul, w.kube, args...); err != nil {
		return err
	}
	if err = w.isthmus.Wait(ctx); err != nil {
		return err
	}
	_, err = w.pod.StartSidecar(ctx, w.kube, w.istiod)
	return err
}

// startProviders starts the providers.
func (w *podHarness) startProviders() (err error) {
	student, err := testbed.Binary(testbed.StudentBinary)
	if err != nil {
		return err
	}
	start := func(version, host string) (*testbed.Process, error) {
		return w.run.Start("student-"+version, student, nil,
			"-consul", w.consul.Address, "-version", version, "-host", host, "-port", fmt.Sprint(studentPort))
	}
	if w.v1, err = start("v1", w.pod.Machines[0]); err != nil {
		return err
	}
	w.v2, err = start("v2", w.pod.Machines[1])
	return err
}

// startRedis starts a Redis and registers it.
func (w *podHarness) startRedis(t *testing.T) {
	t.Helper()
	redis, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal(err)
	}
	address := w.pod.Machines[0]
	if _, err = w.run.Start("redis", redis, nil, "--bind", address, "--port", redisPort, "--protected-mode", "no", "--save", ""); err != nil {
		t.Fatal(err)
	}
	w.register(t, instance{service: "redis", id: "redis", address: address, port: 6379, meta: map[string]string{"protocol": "tcp"}})
}

// output runs a program in the pod to its end and returns its output.
func (w *podHarness) output(ctx context.Context, name string, args ...string) (string, error) {
	output, err := w.pod.Command(ctx, name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w:\n%s", name, strings.Join(args, " "), err, output)
	}
	return string(output), nil
}

// says runs a program in the pod and verifies that its output contains a text.
func (w *podHarness) says(ctx context.Context, text, name string, args ...string) error {
	output, err := w.output(ctx, name, args...)
	if err == nil && !strings.Contains(output, text) {
		err = fmt.Errorf("%s %s does not print %q:\n%s", name, strings.Join(args, " "), text, output)
	}
	return err
}
