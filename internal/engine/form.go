package engine

import (
	"net/netip"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// The form of a service depends on its history: mesh.AutoForm keeps inline endpoints once an instance had the address of a
// pod. Engine.pods is that history. It comes from the live objects or from the store, so the form survives a restart and a
// change of the leader.

// meshOptions returns the options for the translation of a service. known is its earlier state, nil for none.
func (e *Engine) meshOptions(known *serviceState, name mesh.Name) mesh.Options {
	options := e.options.Mesh
	options.PodAddress = e.pods[name]
	if known != nil && !options.PodAddress.IsValid() { // the name may have changed
		options.PodAddress = e.pods[known.name]
	}
	return options
}

// recordForm records the address for which the new resources of a service have inline endpoints. A failed translation
// changes nothing. The caller holds Engine.mu.
func (e *Engine) recordForm(known, next *serviceState, resources mesh.Resources) {
	if known != nil && known.name != next.name && e.byName[known.name].owner == known.Key {
		e.setPod(known.name, netip.Addr{})
	}
	if len(resources.Objects) > 0 {
		e.setPod(next.name, mesh.PodAddressOf(resources.Objects))
	}
}

// setPod sets and saves the address for which a service has inline endpoints; the zero address removes it. The caller holds
// Engine.mu.
func (e *Engine) setPod(name mesh.Name, address netip.Addr) {
	switch {
	case e.pods[name] == address:
		return
	case address.IsValid():
		e.pods[name] = address
	default:
		delete(e.pods, name)
	}
	e.options.Store.Save(contract.Change{PodAddresses: map[mesh.Name]netip.Addr{name: address}})
}

// restoreForms continues the history of an earlier run or of the leader. It returns the names whose objects changed. The
// caller holds Engine.mu.
func (e *Engine) restoreForms(snapshot contract.Snapshot) (changed []mesh.Name) {
	var affected []mesh.Name
	restore := func(name mesh.Name, address netip.Addr) {
		if address.IsValid() && e.pods[name] != address {
			e.pods[name] = address
			affected = append(affected, name)
		}
	}
	for name, address := range snapshot.PodAddresses {
		restore(name, address)
	}
	for name, objects := range snapshot.Live {
		restore(name, mesh.PodAddressOf(objects))
	}
	return e.reassign(affected, e.now())
}
