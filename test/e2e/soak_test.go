package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	soakServices, soakInstances = 200, 3
	soakRate                    = 50
)

// TestSoak changes a catalog 50 times a second for minutes. It verifies that no change is lost, and that memory,
// goroutines and open files do not grow. "make soak" runs it.
func TestSoak(t *testing.T) {
	if os.Getenv("SOAK") == "" {
		t.Skip(`it takes minutes: run "make soak"`)
	}
	lasts, err := time.ParseDuration(os.Getenv("SOAK"))
	if err != nil {
		t.Fatalf("SOAK: %v", err)
	}
	w := newHarness(t)
	s := &soak{harness: w, random: rand.New(rand.NewPCG(1, 2)), truth: map[string]instance{}}
	for n := range soakServices {
		for k := range soakInstances {
			s.put(t, soaked(n, k))
		}
	}
	daemon := w.startReplica(t)
	w.awaitWorkloads(t, soakServices*soakInstances)
	w.isthmus = daemon
	before := s.read(t)
	var samples []sample
	every := time.NewTicker(time.Second / soakRate)
	defer every.Stop()
	for began, n := time.Now(), 0; time.Since(began) < lasts; n++ {
		<-every.C
		s.change(t, n)
		if n%(5*soakRate) == 0 {
			samples = append(samples, s.read(t))
		}
		if n%(30*soakRate) == 0 {
			t.Logf("%4.0f s: %v", time.Since(began).Seconds(), s.read(t))
		}
	}
	s.recover(t)
	eventually(t, func(ctx context.Context) error { return s.compare(ctx) })
	if held, err := daemon.Metric(t.Context(), "isthmus_held_instances"); err != nil || held != 0 {
		t.Errorf("%v instances are held, %v", held, err)
	}
	eventually(t, func(context.Context) error {
		if now := s.read(t); now.goroutines > before.goroutines+10 || now.files > before.files+10 {
			return fmt.Errorf("it was %v before, and is %v", before, now)
		}
		return nil
	})
	// The first third is for warm-up. Afterwards memory may vary with the garbage collector, but not grow.
	third := len(samples) / 3
	middle, last := peak(samples[third:2*third]), peak(samples[2*third:])
	if last > middle*5/4+16<<20 {
		t.Errorf("memory grew: at most %.0f MiB in the middle third, %.0f MiB in the last", middle/(1<<20), last/(1<<20))
	}
	t.Logf("%d changes; before %v; at most %.0f MiB in the middle third, %.0f MiB in the last",
		int(lasts.Seconds()*soakRate), before, middle/(1<<20), last/(1<<20))
}

// soak is a catalog with continuous changes.
type soak struct {
	*harness
	random *rand.Rand
	// truth are the instances that should serve, by their ID. sick and gone are absent for one change.
	truth      map[string]instance
	sick, gone []instance
}

func soaked(n, k int) instance {
	name := fmt.Sprintf("soak-%03d", n)
	return instance{
		service: name, id: fmt.Sprint(name, "-", k), node: fmt.Sprint("vm-", k), address: fmt.Sprintf("10.%d.0.%d", 30+k, n),
		port: 8080, meta: map[string]string{"version": "v1"},
	}
}

func (s *soak) put(t *testing.T, i instance) {
	t.Helper()
	s.register(t, i)
	s.truth[i.id] = i
}

// change makes one of the changes of a real fleet: mostly another address or version, sometimes an instance that turns
// critical or a service that is removed. The previous instance or service then comes back.
func (s *soak) change(t *testing.T, n int) {
	t.Helper()
	service := s.random.IntN(soakServices)
	switch i := soaked(service, s.random.IntN(soakInstances)); n % 10 {
	case 3:
		s.recover(t)
		s.sick = []instance{s.truth[i.id]}
		delete(s.truth, i.id)
		i.health = "critical"
		s.register(t, i)
	case 7:
		s.recover(t)
		for k := range soakInstances {
			i := soaked(service, k)
			s.gone = append(s.gone, s.truth[i.id])
			delete(s.truth, i.id)
			s.deregister(t, i)
		}
	default:
		i.address = fmt.Sprintf("10.%d.%d.%d", 30+s.random.IntN(200), s.random.IntN(250), service)
		i.meta = map[string]string{"version": fmt.Sprint("v", n%7)}
		if _, serves := s.truth[i.id]; serves {
			s.put(t, i)
		}
	}
}

func (s *soak) recover(t *testing.T) {
	t.Helper()
	for _, i := range slices.Concat(s.sick, s.gone) {
		s.put(t, i)
	}
	s.sick, s.gone = nil, nil
}

// compare returns the differences between the mesh and the truth.
func (s *soak) compare(ctx context.Context) error {
	list, err := s.istio.NetworkingV1().WorkloadEntries(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	want, got := map[string]string{}, map[string]string{}
	for i := range maps.Values(s.truth) {
		want[i.workloadName()] = i.address + " " + i.meta["version"]
	}
	for _, workload := range list.Items {
		got[workload.Name] = workload.Spec.Address + " " + workload.Spec.Labels["version"]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("(-Consul +mesh):\n%s", diff)
	}
	return nil
}

// sample is the resource use of isthmus at one moment.
type sample struct{ memory, goroutines, files float64 }

func (s sample) String() string {
	return fmt.Sprintf("%.0f MiB resident, %.0f goroutines, %.0f open files", s.memory/(1<<20), s.goroutines, s.files)
}

func (s *soak) read(t *testing.T) sample {
	t.Helper()
	return sample{
		memory: s.metric(t, "process_resident_memory_bytes"), goroutines: s.metric(t, "go_goroutines"),
		files: s.metric(t, "process_open_fds"),
	}
}

func peak(samples []sample) float64 {
	most := 0.0
	for _, s := range samples {
		most = max(most, s.memory)
	}
	return most
}
