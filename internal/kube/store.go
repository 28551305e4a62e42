package kube

import (
	"context"
	"net/netip"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/kube/object"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Store implements contract.Store for a Kubernetes API: the live objects have the last known good state, and a ConfigMap
// has the holds. Every replica reads them.
type Store struct{ output *Output }

// Store returns the store of the output.
func (o *Output) Store() Store { return Store{o} }

// Load implements contract.Store. It waits until the caches are synced.
func (s Store) Load(ctx context.Context) (contract.Snapshot, error) {
	select {
	case <-s.output.read:
	case <-ctx.Done():
		return contract.Snapshot{}, nil
	}
	snapshot, err := s.output.snapshot(ctx)
	if err != nil {
		return contract.Snapshot{}, err
	}
	if snapshot.Holds, err = s.output.holds.Restore(ctx); err != nil {
		return contract.Snapshot{}, err
	}
	return snapshot, nil
}

// Save implements contract.Store. It keeps only the holds, because the live objects have the rest.
func (s Store) Save(change contract.Change) {
	if change.Holds != nil {
		s.output.holds.Set(change.Holds)
	}
}

// Run implements contract.Store.
func (s Store) Run(ctx context.Context, feedback contract.Feedback) error {
	s.output.feedback.Store(&feedback)
	s.output.conflicts.Listen(feedback)
	select {
	case <-s.output.read:
		s.output.holds.Run(ctx, feedback.Release)
	case <-ctx.Done():
	}
	return nil
}

// snapshot returns the content of the live objects that are ours.
func (o *Output) snapshot(ctx context.Context) (contract.Snapshot, error) {
	all, err := o.list(ctx)
	if err != nil {
		return contract.Snapshot{}, err
	}
	snapshot := contract.Snapshot{
		Live: map[mesh.Name][]mesh.Object{}, Addresses: map[mesh.Name][]netip.Addr{},
		TagHosts: map[mesh.Name][]string{}, ForeignAddresses: o.conflicts.ForeignAddresses(),
	}
	for _, live := range all {
		name, ok := object.ServiceOf(live)
		if !ok || !object.IsOurs(live) {
			continue
		}
		snapshot.Live[name] = append(snapshot.Live[name], mesh.Object{
			Kind: object.KindOf(live), Namespace: live.GetNamespace(), Name: live.GetName(),
			Labels: live.GetLabels(), Annotations: live.GetAnnotations(), Spec: object.SpecOf(live),
			Generation: generationOf(live),
		})
		if at := object.AppliedAt(live); at.After(snapshot.Changed) {
			snapshot.Changed = at
		}
	}
	for name, objects := range snapshot.Live {
		if addresses := mesh.AddressesOf(objects); len(addresses) > 0 {
			snapshot.Addresses[name] = addresses
		}
	}
	tagged := taggedObjects(snapshot.Live)
	for name, objects := range snapshot.Live {
		if name.Tag != "" {
			snapshot.TagHosts[name.Service()] = append(snapshot.TagHosts[name.Service()], name.Tag)
			continue
		}
		snapshot.Services = append(snapshot.Services, mesh.Parse(name, objects, tagged[name]...)...)
	}
	return snapshot, nil
}

// taggedObjects returns the objects of the hosts of tags, by service.
func taggedObjects(live map[mesh.Name][]mesh.Object) map[mesh.Name][]mesh.Object {
	tagged := map[mesh.Name][]mesh.Object{}
	for name, objects := range live {
		if name.Tag != "" {
			tagged[name.Service()] = append(tagged[name.Service()], objects...)
		}
	}
	return tagged
}
