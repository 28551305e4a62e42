package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// awaitEndpoints waits until Envoy has exactly these endpoints: "address:port", or "address:port weight" with a weight
// other than 1.
func (w *harness) awaitEndpoints(t *testing.T, cluster string, want ...string) {
	t.Helper()
	slices.Sort(want)
	eventually(t, func(ctx context.Context) error {
		got, err := w.endpoints(ctx, cluster)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("endpoints of %s in Envoy (-want +got):\n%s", cluster, diff)
		}
		return nil
	})
}

func (w *harness) endpoints(ctx context.Context, cluster string) ([]string, error) {
	endpoints, err := w.envoy.Endpoints(ctx, cluster)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range endpoints {
		text := e.Address + ":" + strconv.Itoa(e.Port)
		if e.Weight != 1 {
			text += " " + strconv.Itoa(e.Weight)
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return all, nil
}

// awaitLabels waits until the instance's WorkloadEntry has these labels. A label "-key" must be absent.
func (w *harness) awaitLabels(t *testing.T, i instance, want ...string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		workload, err := w.istio.NetworkingV1().WorkloadEntries(namespace).Get(ctx, i.workloadName(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, label := range want {
			key, value, _ := strings.Cut(label, "=")
			got, has := workload.Spec.Labels[strings.TrimPrefix(key, "-")]
			if strings.HasPrefix(label, "-") && has || !strings.HasPrefix(label, "-") && got != value {
				return fmt.Errorf("the labels are %v, %q is not so", workload.Spec.Labels, label)
			}
		}
		return nil
	})
}

// names lists the ServiceEntries and WorkloadEntries of a service as kind/name.
func (w *harness) names(ctx context.Context, in, label string) ([]string, error) {
	selector := metav1.ListOptions{LabelSelector: "isthmus-mesh.github.io/service=" + label}
	entries, err := w.istio.NetworkingV1().ServiceEntries(in).List(ctx, selector)
	if err != nil {
		return nil, err
	}
	workloads, err := w.istio.NetworkingV1().WorkloadEntries(in).List(ctx, selector)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, entry := range entries.Items {
		names = append(names, "ServiceEntry/"+entry.Name)
	}
	for _, workload := range workloads.Items {
		names = append(names, "WorkloadEntry/"+workload.Name)
	}
	return names, nil
}

// writes returns the number of successful writes of the daemon so far.
func (w *harness) writes(t *testing.T) int {
	t.Helper()
	count, err := w.isthmus.Metric(t.Context(), "isthmus_kubernetes_writes_total", "result", "ok")
	if err != nil {
		t.Fatal(err)
	}
	return int(count)
}

// metric returns a metric of the daemon.
func (w *harness) metric(t *testing.T, name string) float64 {
	t.Helper()
	value, err := w.isthmus.Metric(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// settle waits until isthmus has processed all earlier changes in Consul. It registers another service and waits for
// it. It returns the number of writes so far without those for that service.
func (w *harness) settle(t *testing.T) int {
	t.Helper()
	markers++
	name := fmt.Sprint("marker-", markers)
	last := instance{service: name, id: name, address: "10.9.9.9", port: 9999}
	w.register(t, last)
	eventually(t, func(ctx context.Context) error {
		names, err := w.names(ctx, namespace, last.service)
		if err == nil && len(names) != 2 {
			err = errors.New("the marker is not in the mesh")
		}
		return err
	})
	var writes int
	eventually(t, func(context.Context) error { // the metric is counted after the API server's response
		before := writes
		if writes = w.writes(t); writes != before {
			return errors.New("there are still writes")
		}
		return nil
	})
	return writes - 2*markers
}

// markers is the number of services that settle has registered. It needs no lock, because these tests run one after the
// other.
var markers int

// settledPushes waits until istiod stops sending responses to proxies. It returns their number for the labels, which
// are names and values in turn.
func (w *harness) settledPushes(t *testing.T, labels ...string) (pushes float64) {
	t.Helper()
	all, since := -1.0, time.Now()
	eventually(t, func(ctx context.Context) error {
		now, err := w.istiod.Metric(ctx, "pilot_xds_pushes")
		if err != nil {
			return err
		}
		if now != all {
			all, since = now, time.Now()
		}
		if still := time.Since(since); still < 3*time.Second { // well above the debounce of istiod
			return fmt.Errorf("the last push was %s ago", still)
		}
		pushes, err = w.istiod.Metric(ctx, "pilot_xds_pushes", labels...)
		return err
	})
	return pushes
}
