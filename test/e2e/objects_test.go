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

// awaitEndpoints waits until Envoy has exactly these endpoints, "address:port" or, with a weight other than 1,
// "address:port weight".
func (w *world) awaitEndpoints(t *testing.T, cluster string, want ...string) {
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

func (w *world) endpoints(ctx context.Context, cluster string) ([]string, error) {
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

// awaitLabels waits until the instance's WorkloadEntry has these among its labels; "-key" is one it must not have.
func (w *world) awaitLabels(t *testing.T, i instance, want ...string) {
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

// names lists the ServiceEntries and WorkloadEntries that were written for a service, as kind/name.
func (w *world) names(ctx context.Context, in, label string) ([]string, error) {
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

// writes counts the daemon's successful writes so far.
func (w *world) writes(t *testing.T) int {
	t.Helper()
	count, err := w.isthmus.Metric(t.Context(), "isthmus_kubernetes_writes_total", "result", "ok")
	if err != nil {
		t.Fatal(err)
	}
	return int(count)
}

// metric returns one of the daemon's metrics.
func (w *world) metric(t *testing.T, name string) float64 {
	t.Helper()
	value, err := w.isthmus.Metric(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// settle waits until everything that was in Consul before has been looked at, by a service that comes after it, and
// returns the writes so far but for that service's own.
func (w *world) settle(t *testing.T) int {
	t.Helper()
	sentinels++
	name := fmt.Sprint("sentinel-", sentinels)
	last := instance{service: name, id: name, address: "10.9.9.9", port: 9999}
	w.register(t, last)
	eventually(t, func(ctx context.Context) error {
		names, err := w.names(ctx, namespace, last.service)
		if err == nil && len(names) != 2 {
			err = errors.New("the sentinel has not come yet")
		}
		return err
	})
	var writes int
	eventually(t, func(context.Context) error { // the metric is counted after the API server's answer
		before := writes
		if writes = w.writes(t); writes != before {
			return errors.New("there are still writes")
		}
		return nil
	})
	return writes - 2*sentinels
}

// sentinels is how many services settle has registered; tests run one after the other.
var sentinels int

// settledPushes returns how many responses of the labels, given as name and value by turns, istiod has sent to proxies,
// once it has stopped sending any.
func (w *world) settledPushes(t *testing.T, labels ...string) (pushes float64) {
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
		if still := time.Since(since); still < 3*time.Second { // well above istiod's debounce
			return fmt.Errorf("the last push was %s ago", still)
		}
		pushes, err = w.istiod.Metric(ctx, "pilot_xds_pushes", labels...)
		return err
	})
	return pushes
}
