package e2e

import (
	"sync"
	"testing"
	"time"

	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// mirror records the endpoints that appear, change and disappear in a namespace, by two watches. It sends no other
// request.
type mirror struct {
	mu      sync.Mutex
	changed chan struct{}
	// objects are the endpoints of each object. versions are the values of the label "version" of each current address.
	objects  map[string][]*networking.WorkloadEntry
	versions map[string]string
	// seen is the time of the first appearance of an address.
	seen map[string]time.Time
}

func (b *bed) mirror(t *testing.T, in string) *mirror {
	t.Helper()
	m := &mirror{
		changed: make(chan struct{}), objects: map[string][]*networking.WorkloadEntry{}, versions: map[string]string{},
		seen: map[string]time.Time{},
	}
	api := b.istio.NetworkingV1()
	list, err := api.WorkloadEntries(in).List(t.Context(), metav1.ListOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, start := range []func() (watch.Interface, error){
		func() (watch.Interface, error) {
			return api.ServiceEntries(in).Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.ResourceVersion})
		},
		func() (watch.Interface, error) {
			return api.WorkloadEntries(in).Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.ResourceVersion})
		},
	} {
		events, err := start()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(events.Stop)
		go func() {
			for event := range events.ResultChan() {
				m.note(event, time.Now())
			}
		}()
	}
	return m
}

func (m *mirror) note(event watch.Event, at time.Time) {
	name, endpoints := endpointsOf(event.Object)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, old := range m.objects[name] {
		delete(m.versions, old.GetAddress())
	}
	delete(m.objects, name)
	if event.Type != watch.Deleted {
		m.objects[name] = endpoints
		for _, endpoint := range endpoints {
			m.versions[endpoint.GetAddress()] = endpoint.GetLabels()["version"]
			if _, known := m.seen[endpoint.GetAddress()]; !known {
				m.seen[endpoint.GetAddress()] = at
			}
		}
	}
	close(m.changed)
	m.changed = make(chan struct{})
}

// endpointsOf returns the endpoints of a ServiceEntry or WorkloadEntry, and its name with its kind.
func endpointsOf(object runtime.Object) (name string, endpoints []*networking.WorkloadEntry) {
	switch o := object.(type) {
	case *networkingv1.ServiceEntry:
		return "ServiceEntry/" + o.Name, o.Spec.GetEndpoints()
	case *networkingv1.WorkloadEntry:
		return "WorkloadEntry/" + o.Name, []*networking.WorkloadEntry{&o.Spec}
	default:
		return "", nil
	}
}

// await waits until ok returns true. It calls ok under the lock of the mirror.
func (m *mirror) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		m.mu.Lock()
		done, changed := ok(), m.changed
		m.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%s did not arrive within a minute", what)
		}
	}
}

// awaitAddress waits until an address is present and returns the time of its first appearance.
func (m *mirror) awaitAddress(t *testing.T, address string) (at time.Time) {
	t.Helper()
	m.await(t, address, func() (ok bool) { at, ok = m.seen[address]; return ok })
	return at
}

// first returns the time of the first appearance of an address, if any.
func (m *mirror) first(address string) (at time.Time, seen bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, seen = m.seen[address]
	return at, seen
}

// awaitVersion waits until an address has a version.
func (m *mirror) awaitVersion(t *testing.T, address, version string) {
	t.Helper()
	m.await(t, address+" "+version, func() bool { return m.versions[address] == version })
}

// awaitGone waits until addresses are absent.
func (m *mirror) awaitGone(t *testing.T, addresses ...string) {
	t.Helper()
	for _, address := range addresses {
		m.await(t, "the end of "+address, func() bool { _, there := m.versions[address]; return !there })
	}
}
