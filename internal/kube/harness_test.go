package kube

import (
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	klog "k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/test/testbed"
	"github.com/isthmus-mesh/isthmus/test/testbed/faults"
)

// shared is the API server of all tests of the package; each test has a namespace of its own.
var shared struct {
	once sync.Once
	run  *testbed.Run
	kube *testbed.Kube
	err  error
}

func TestMain(m *testing.M) {
	klog.SetLogger(logr.Discard())
	ctrllog.SetLogger(logr.Discard())
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // The tests wait more than they compute.
		panic(err)
	}
	dir, err := os.MkdirTemp("", "isthmus")
	if err != nil {
		panic(err)
	}
	shared.run = testbed.New(dir)
	code := m.Run()
	shared.run.Close()
	os.RemoveAll(dir)
	if code == 0 {
		if shared.kube != nil {
			shared.kube.CloseIdle()
		}
		if err := goleak.Find(faults.Leftovers()...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func apiServer(t *testing.T) *testbed.Kube {
	t.Helper()
	testbed.Require(t, testbed.EtcdBinary, testbed.APIServerBinary)
	shared.once.Do(func() { shared.kube, shared.err = shared.run.StartKube(context.Background()) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.kube
}

// fakeState is a contract.State that a test changes.
type fakeState struct {
	options mesh.Options
	outputs []*Output

	mu       sync.Mutex
	desired  map[mesh.Name]contract.Desired
	complete bool
	revision uint64
	// pending are the sources of merged services that have not reported yet.
	pending []string
}

func newFakeState(namespace string) *fakeState {
	return &fakeState{
		options: mesh.Options{
			Domain: "consul", ClusterDomain: "cluster.local", Form: mesh.WorkloadEntryForm, DefaultProtocol: mesh.HTTP,
			Placement: mesh.Placement{Base: namespace},
		},
		desired:  map[mesh.Name]contract.Desired{},
		complete: true,
	}
}

func (b *fakeState) Desired(name mesh.Name) contract.Desired {
	b.mu.Lock()
	defer b.mu.Unlock()
	if desired, ok := b.desired[name]; ok {
		desired.PendingSources = b.pending
		return desired
	}
	return contract.Desired{Authoritative: b.complete && name.Source == "consul"}
}

func (b *fakeState) Names() []mesh.Name {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.SortedFunc(maps.Keys(b.desired), mesh.Name.Compare)
}

func (b *fakeState) Complete() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.complete
}

func (b *fakeState) Restored() bool { return b.Complete() }

func (b *fakeState) Written(mesh.Name, uint64) time.Time { return time.Time{} }

// set changes a service to have instances, given by ID and version. An ID may begin with the source that reports the
// instance, as in "east/1".
func (b *fakeState) set(name string, versions map[string]string) {
	service := catalog.Service{Key: catalog.Key{Source: "consul", Name: name}, Datacenter: "dc1"}
	for _, id := range slices.Sorted(maps.Keys(versions)) {
		service.Instances = append(service.Instances, catalog.Instance{
			ID:      catalog.InstanceID{Datacenter: "dc1", Node: "n1", ServiceID: id},
			Address: addressOf(id), Port: 8080, Health: catalog.Passing, Weights: catalog.Weights{Passing: 1, Warning: 1},
			Meta: map[string]string{"version": versions[id]},
		})
		if source, _, ok := strings.Cut(id, "/"); ok {
			service.Instances[len(service.Instances)-1].Source = source
		}
	}
	meshName := mesh.Name{Source: "consul", Label: name}
	resources, _ := mesh.Translate(service, meshName, b.options)
	b.put(meshName, resources)
}

// addressOf returns the address of an instance. It depends on the ID alone, and instances of a service have different ones.
func addressOf(id string) string {
	hash := fnv.New32a()
	hash.Write([]byte(id))
	sum := hash.Sum(nil)
	return fmt.Sprintf("10.0.%d.%d", sum[2], sum[3])
}

func (b *fakeState) put(name mesh.Name, resources mesh.Resources) {
	b.mu.Lock()
	b.revision++
	if len(resources.Objects) == 0 {
		delete(b.desired, name)
	} else {
		b.desired[name] = contract.Desired{Resources: resources, Authoritative: true, Revision: b.revision}
	}
	b.mu.Unlock()
	for _, output := range b.outputs {
		output.Notify(name)
	}
}

// setComplete sets whether the source has reported everything.
func (b *fakeState) setComplete(complete bool) {
	b.mu.Lock()
	b.complete = complete
	b.mu.Unlock()
	for _, output := range b.outputs {
		output.Synced()
	}
}

// holdsOf returns the ConfigMap of the holds of a fakeState.
func holdsOf(b *fakeState) client.ObjectKey {
	return client.ObjectKey{Namespace: b.options.Placement.Namespaces()[0], Name: "isthmus-consul"}
}

// runningOutput is an output that runs.
type runningOutput struct {
	*Output
	registry *prometheus.Registry
	log      *testbed.Log
	stop     func() error
}

// start runs an output with a fakeState until the test ends or stop is called.
func start(t *testing.T, b *fakeState, change func(*Options)) *runningOutput {
	t.Helper()
	registry, log := prometheus.NewRegistry(), &testbed.Log{}
	options := Options{
		REST: apiServer(t).REST, Placement: b.options.Placement, Writers: 4, Grace: time.Hour, Holds: holdsOf(b), Sources: []string{"consul"},
		Log: slog.New(slog.NewTextHandler(log, nil)), Metrics: NewMetrics(registry),
	}
	if change != nil {
		change(&options)
	}
	output, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	b.outputs = append(b.outputs, output)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- output.Run(ctx, b) }()
	stop := sync.OnceValue(func() error {
		cancel()
		err := <-done
		output.http.CloseIdleConnections()
		return err
	})
	t.Cleanup(func() {
		if err := stop(); err != nil && !t.Failed() {
			t.Errorf("run: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", log)
		}
	})
	return &runningOutput{Output: output, registry: registry, log: log, stop: stop}
}

// writes counts the writes that the API server accepted, by verb.
func (r *runningOutput) writes(t *testing.T) map[string]int {
	t.Helper()
	return r.countWrites(t, func(result string) bool { return result == "ok" })
}

// attempts counts all writes, by verb. An attempt that the API server did not accept is retried.
func (r *runningOutput) attempts(t *testing.T) map[string]int {
	t.Helper()
	return r.countWrites(t, func(string) bool { return true })
}

func (r *runningOutput) countWrites(t *testing.T, counts func(result string) bool) map[string]int {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	byVerb := map[string]int{}
	for _, family := range families {
		if family.GetName() != "isthmus_kubernetes_writes_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			if counts(labels["result"]) {
				byVerb[labels["verb"]] += int(metric.GetCounter().GetValue())
			}
		}
	}
	return byVerb
}

func (r *runningOutput) waitReady(t *testing.T) {
	t.Helper()
	eventually(t, "<nil>", func() string { return fmt.Sprint(r.Ready()) })
}
