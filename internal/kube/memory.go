package kube

import (
	"context"
	"maps"
	"net/netip"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/bridge"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Memory is the bridge.Memory of the Kubernetes API: the objects themselves say what the mesh held, and a ConfigMap says
// which removals are held. Every replica reads it, the one that leads writes it.
type Memory struct {
	output *Output
	at     client.ObjectKey
	// wake rings when the ConfigMap may differ from what it should say.
	wake bridge.Bell
	// failing says that the log was told of a trouble, failures counts the looks since the last that succeeded.
	failing  bool
	failures int

	mu sync.Mutex
	// holds are all in force here; nil before that is known.
	holds map[string]guard.Hold
}

// Memory returns the memory of the output.
func (o *Output) Memory() *Memory { return o.memory }

// Recall implements bridge.Memory. It waits until the API server's content is read.
func (m *Memory) Recall(ctx context.Context) (bridge.Recollection, error) {
	select {
	case <-m.output.read:
	case <-ctx.Done():
		return bridge.Recollection{}, nil
	}
	recollection, err := m.output.recall(ctx)
	if err != nil {
		return bridge.Recollection{}, err
	}
	_, status, err := m.cached(ctx)
	if err != nil {
		return bridge.Recollection{}, err
	}
	m.mu.Lock()
	m.holds = status.Holds
	m.mu.Unlock()
	m.wake.Ring()
	recollection.Holds = maps.Clone(status.Holds)
	return recollection, nil
}

// recall returns what the objects of ours say.
func (o *Output) recall(ctx context.Context) (bridge.Recollection, error) {
	standing, err := o.listed(ctx)
	if err != nil {
		return bridge.Recollection{}, err
	}
	byName := map[mesh.Name][]mesh.Object{}
	r := bridge.Recollection{Standing: byName}
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
	r.Addresses, r.Others = map[mesh.Name][]netip.Addr{}, o.occupied.all()
	for name, objects := range byName {
		if addresses := mesh.AddressesOf(objects); len(addresses) > 0 {
			r.Addresses[name] = addresses
		}
		r.Services = append(r.Services, mesh.Recall(name, objects)...)
	}
	return r, nil
}

// Remember implements bridge.Memory.
func (m *Memory) Remember(change bridge.Change) {
	if change.Holds == nil {
		return // the objects say the rest
	}
	m.mu.Lock()
	m.holds = change.Holds
	m.mu.Unlock()
	m.wake.Ring()
}

const (
	// holdsPause is how long the ConfigMap lags behind: while a flood comes, every report changes the counts.
	holdsPause = 500 * time.Millisecond
	// holdsRetry is how long a write that failed waits for the next one.
	holdsRetry = 2 * time.Second
)

// Run implements bridge.Memory.
func (m *Memory) Run(ctx context.Context, listener bridge.Listener) error {
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
		err := m.keep(ctx, listener.Release)
		if ctx.Err() != nil {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(m.report(err)):
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
	m.wake.Ring()
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
