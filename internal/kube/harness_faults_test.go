package kube

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// history has the changes of the WorkloadEntries of a namespace, as a watch reports them.
type history struct {
	mu     sync.Mutex
	events []string
}

// record records the history of a namespace until the test ends: "ADDED name version", "MODIFIED ...", "DELETED ...".
func record(t *testing.T, namespace string) *history {
	t.Helper()
	c, err := client.NewWithWatch(apiServer(t).REST, client.Options{Scheme: object.Scheme, Mapper: object.Mapper})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := c.Watch(t.Context(), &networkingv1.WorkloadEntryList{}, client.InNamespace(namespace))
	if err != nil {
		t.Fatal(err)
	}
	h, done := &history{}, make(chan struct{})
	go func() {
		defer close(done)
		for event := range stream.ResultChan() {
			h.note(event)
		}
	}()
	t.Cleanup(func() {
		stream.Stop()
		<-done
	})
	return h
}

func (h *history) note(event watch.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if entry, ok := event.Object.(*networkingv1.WorkloadEntry); ok {
		h.events = append(h.events, fmt.Sprintf("%s %s %s", event.Type, entry.Name, entry.Spec.Labels["version"]))
	}
}

// count returns how many events begin so.
func (h *history) count(prefix string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	count := 0
	for _, event := range h.events {
		if strings.HasPrefix(event, prefix) {
			count++
		}
	}
	return count
}

func (h *history) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.events, "\n")
}

// assertNothingRemoved verifies that no WorkloadEntry was deleted.
func (h *history) assertNothingRemoved(t *testing.T) {
	t.Helper()
	if h.count("DELETED") > 0 {
		t.Errorf("objects were removed:\n%s", h)
	}
}

// value returns the value of a metric: the sum of all series that have the labels, given as alternating names and
// values.
func (r *runningOutput) value(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() == name {
			for _, metric := range family.GetMetric() {
				if !labeled(metric, labels) {
					continue
				}
				sum += metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func labeled(metric *dto.Metric, wanted []string) bool {
	labels := map[string]string{}
	for _, label := range metric.GetLabel() {
		labels[label.GetName()] = label.GetValue()
	}
	for i := 0; i < len(wanted); i += 2 {
		if labels[wanted[i]] != wanted[i+1] {
			return false
		}
	}
	return true
}

// told counts the log lines that have all of the texts.
func (r *runningOutput) told(texts ...string) func() int {
	return func() int { return countLines(r.log, texts...) }
}

// countLines counts the lines of a log that have all of the texts.
func countLines(log *testbed.Log, texts ...string) (count int) {
	for line := range strings.Lines(log.String()) {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			count++
		}
	}
	return count
}

// isWrite reports whether a request writes an object of a service.
func isWrite(r *http.Request, service string) bool {
	return (r.Method == http.MethodPatch || r.Method == http.MethodDelete) && strings.Contains(r.URL.Path, "/"+service)
}

func isLease(r *http.Request) bool { return strings.Contains(r.URL.Path, "/leases") }

// hang keeps a request without a response until its sender gives up or ctx ends.
func hang(ctx context.Context, r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-ctx.Done():
	}
}

// elect makes an output take part in an election with short times.
func elect(namespace, identity string) func(*Options) {
	return func(o *Options) {
		o.Election = &Election{
			Namespace: namespace, Name: "isthmus-consul", Identity: identity,
			LeaseDuration: 6 * time.Second, RenewDeadline: 4 * time.Second, RetryPeriod: 200 * time.Millisecond,
		}
	}
}
