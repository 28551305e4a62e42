package kube

import (
	"context"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Memory is the bridge.Memory of the Kubernetes API: the objects themselves say what the mesh held, and a ConfigMap says
// which removals are held. Every replica reads it, the one that leads writes it.
type Memory struct {
	output *Output
	at     client.ObjectKey
	// wake rings when the ConfigMap may differ from what it should say.
	wake contract.Signal
	// failing says that the log was told of a trouble, failures counts the looks since the last that succeeded.
	failing  bool
	failures int
	// letting is what was let go in this term for a request that the ConfigMap may still hold: by source, since when it
	// was held.
	term    *context.Context
	letting map[string]time.Time
	// written is the edition of the holds that was written last in this term, told when each hold began that the ConfigMap tells of.
	written int
	told    map[string]begins
	// untold are the events that are still to be made, silent says that the log was told why they can't be.
	untold []*corev1.Event
	silent bool

	mu sync.Mutex
	// holds are all in force here; nil before that is known. edition counts how often they changed.
	holds   map[string]guard.Hold
	edition int
	// obeyed counts the releases of each source that were obeyed here.
	obeyed map[string]int
}

// never is no edition.
const never = -1

// begins are when a hold began by our own count, and as the ConfigMap says it.
type begins struct{ own, said time.Time }

// Memory returns the memory of the output.
func (o *Output) Memory() *Memory { return o.memory }

// Load implements bridge.Memory. It waits until the API server's content is read.
func (m *Memory) Load(ctx context.Context) (contract.Snapshot, error) {
	select {
	case <-m.output.read:
	case <-ctx.Done():
		return contract.Snapshot{}, nil
	}
	recollection, err := m.output.recall(ctx)
	if err != nil {
		return contract.Snapshot{}, err
	}
	_, status, err := m.cached(ctx)
	if err != nil {
		return contract.Snapshot{}, err
	}
	m.mu.Lock()
	m.obeyed = maps.Clone(status.Releases)
	m.mu.Unlock()
	m.hold(status.Holds)
	recollection.Holds = maps.Clone(status.Holds)
	return recollection, nil
}

// hold takes which holds are in force here.
func (m *Memory) hold(holds map[string]guard.Hold) {
	m.mu.Lock()
	m.holds = holds
	m.edition++
	m.mu.Unlock()
	m.wake.Notify()
}

// known returns which holds are in force here; nil before that is known.
func (m *Memory) known() (holds map[string]guard.Hold, edition int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.holds), m.edition
}

// recall returns what the objects of ours say.
func (o *Output) recall(ctx context.Context) (contract.Snapshot, error) {
	standing, err := o.listed(ctx)
	if err != nil {
		return contract.Snapshot{}, err
	}
	byName := map[mesh.Name][]mesh.Object{}
	r := contract.Snapshot{Live: byName}
	for _, object := range standing {
		name, ok := serviceOf(object)
		if !ok || !ours(object) {
			continue
		}
		byName[name] = append(byName[name], mesh.Object{
			Kind: kindOf(object), Namespace: object.GetNamespace(), Name: object.GetName(),
			Labels: object.GetLabels(), Annotations: object.GetAnnotations(), Spec: specOf(object),
		})
		if at := appliedAt(object); at.After(r.Changed) {
			r.Changed = at
		}
	}
	r.Addresses, r.ForeignAddresses = map[mesh.Name][]netip.Addr{}, o.occupied.all()
	for name, objects := range byName {
		if addresses := mesh.AddressesOf(objects); len(addresses) > 0 {
			r.Addresses[name] = addresses
		}
		r.Services = append(r.Services, mesh.Parse(name, objects)...)
	}
	return r, nil
}

// Save implements bridge.Memory.
func (m *Memory) Save(change contract.Change) {
	if change.Holds != nil { // the objects say the rest
		m.hold(change.Holds)
	}
}

const (
	// holdsPause is how long the ConfigMap lags behind: while a flood comes, every report changes the counts.
	holdsPause = 500 * time.Millisecond
	// holdsRetry is how long a write that failed waits for the next one.
	holdsRetry = 2 * time.Second
)

// Run implements bridge.Memory.
func (m *Memory) Run(ctx context.Context, listener contract.Feedback) error {
	m.output.listen(listener)
	select {
	case <-m.output.read:
	case <-ctx.Done():
		return nil
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.wake:
		}
		pause := m.report(m.keep(ctx, listener.Release))
		if ctx.Err() == nil && !m.tell(ctx) {
			m.wake.Notify()
			pause = holdsRetry
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// report says when the ConfigMap begins to be in trouble and when that is over. It returns how long to wait for the
// next look. That somebody else was faster is no trouble, as long as it doesn't last: what they wrote is seen in a moment.
func (m *Memory) report(err error) time.Duration {
	if err == nil {
		if m.failing {
			m.output.log.Info("the ConfigMap that says what is held is written again", "configmap", m.at.String())
		}
		m.failing, m.failures = false, 0
		return holdsPause
	}
	m.wake.Notify()
	m.failures++
	if (apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)) && m.failures < tolerated {
		return holdsPause
	}
	if !m.failing {
		m.failing = true
		m.output.log.Error("the ConfigMap that says what is held can't be written; tried again until it can",
			"configmap", m.at.String(), "error", err)
	}
	return holdsRetry
}
