package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestSidecar verifies that a program without knowledge of the mesh, in a pod with Istio's complete sidecar, reaches
// services of Consul by the names and ports that it has always used. Istio's DNS proxy resolves the names.
func TestSidecar(t *testing.T) {
	w := newPodHarness(t, testbed.PodOptions{DNSCapture: true})
	w.testCalls(t)
	w.testTCP(t)
	t.Run("mutual TLS is on, and calls to providers are in plain text", w.testMutualTLS)
	t.Run("a split by version applies", w.testSplit)
	t.Run("a critical provider gets no calls", w.testCritical)
	t.Run("a Service allows a split by the bare name", w.testBareSplit)
}

// TestSidecarWithoutDNSProxy verifies the same without Istio's DNS proxy, for a caller with a Consul agent as its name
// server: names resolve to the addresses of instances, and calls still follow the rules of the mesh.
func TestSidecarWithoutDNSProxy(t *testing.T) {
	w := newPodHarness(t, testbed.PodOptions{Search: []string{"service.consul"}})
	agent := testbed.ConsulOptions{Name: "dns", Client: true, Join: w.consul, DNS: w.pod.Gateway + ":53"}
	if _, err := w.run.StartConsul(t.Context(), agent); err != nil {
		t.Fatal(err)
	}
	w.testCalls(t)
	t.Run("a split by version applies", w.testSplit)
}

// testCalls calls by every name and port.
func (w *podHarness) testCalls(t *testing.T) {
	for _, authority := range []string{
		studentHost, "student-service", // no port
		fmt.Sprint(studentHost, ":", studentPort), fmt.Sprint("student-service:", studentPort), // the native port
	} {
		t.Run("http://"+authority, func(t *testing.T) {
			eventually(t, func(ctx context.Context) error {
				answers, err := w.call(ctx, authority, 20)
				if err == nil && (answers["v1"] == 0 || answers["v2"] == 0) {
					err = fmt.Errorf("answers: %v", answers)
				}
				return err
			})
		})
	}
}

// testTCP calls a Redis by its name and by its virtual address. Services without HTTP on the same port differ only in
// their names, so each needs an address of its own.
func (w *podHarness) testTCP(t *testing.T) {
	w.startRedis(t)
	var address string
	t.Run("a name of a TCP service resolves to a virtual address", func(t *testing.T) {
		eventually(t, func(ctx context.Context) (err error) {
			address, err = w.resolve(ctx, redisHost)
			return err
		})
		if slices.Contains(w.pod.Machines, address) {
			t.Errorf("%s resolves to a real address, %s", redisHost, address)
		}
	})
	for _, host := range []string{redisHost, address} {
		t.Run("tcp://"+host, func(t *testing.T) {
			eventually(t, func(ctx context.Context) error {
				return w.says(ctx, "PONG", "redis-cli", "-h", host, "-p", redisPort, "PING")
			})
		})
	}
}

// testMutualTLS checks the configuration of the sidecar: a certificate, and clusters that would use it.
func (w *podHarness) testMutualTLS(t *testing.T) {
	for page, want := range map[string]string{
		"certs": "spiffe://cluster.local/ns/default/sa/consumer",
		"config_dump?resource=dynamic_active_clusters&name_regex=outbound.80..student-service.service.consul": "tlsMode-istio",
	} {
		eventually(t, func(ctx context.Context) error {
			return w.says(ctx, want, "curl", "--silent", "--show-error", "http://127.0.0.1:15000/"+page)
		})
	}
}

// testCritical makes a provider unhealthy and healthy again.
func (w *podHarness) testCritical(t *testing.T) {
	only := func(want ...string) func(context.Context) error {
		return func(ctx context.Context) error {
			answers, err := w.call(ctx, studentHost, 40)
			if err == nil && len(answers) != len(want) {
				err = fmt.Errorf("answers: %v, want some by %v only", answers, want)
			}
			return err
		}
	}
	eventually(t, only("v1", "v2"))
	w.toggle(t, w.v2)
	eventually(t, only("v1"))
	for range 3 {
		if err := only("v1")(t.Context()); err != nil {
			t.Error(err)
		}
	}
	w.toggle(t, w.v2)
	eventually(t, only("v1", "v2"))
}

func (w *podHarness) toggle(t *testing.T, student *testbed.Process) {
	t.Helper()
	if err := student.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
}

// call sends a number of calls with curl and returns the number of responses of each version. Every call must get a
// response.
func (w *podHarness) call(ctx context.Context, authority string, times int) (map[string]int, error) {
	url := fmt.Sprintf("http://%s/getStudentDetailsForSchool/school-[1-%d]", authority, times)
	output, err := w.output(ctx, "curl", "--silent", "--show-error", "--fail", "--max-time", "10", url)
	if err != nil {
		return nil, err
	}
	answers := map[string]int{}
	for decoder := json.NewDecoder(strings.NewReader(output)); decoder.More(); times-- {
		var answer struct {
			Version string `json:"version"`
		}
		if err := decoder.Decode(&answer); err != nil {
			return nil, fmt.Errorf("%s: %w:\n%s", url, err, output)
		}
		answers[answer.Version]++
	}
	if times != 0 {
		return nil, fmt.Errorf("%s: %d calls were not answered:\n%s", url, times, output)
	}
	return answers, nil
}

// resolve returns the first address of a name by the C library.
func (w *podHarness) resolve(ctx context.Context, name string) (string, error) {
	output, err := w.output(ctx, "getent", "ahostsv4", name)
	if err != nil {
		return "", err
	}
	address, _, _ := strings.Cut(output, " ")
	return address, nil
}
