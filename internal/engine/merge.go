package engine

import (
	"cmp"
	"slices"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// merger combines the reports that are one service in the mesh: reports of the sources of a group under one name, and
// reports under names that differ in case only. Consul's DNS and health API ignore the case of names.
type merger struct {
	// groups maps each merged source to the name of its group.
	groups map[string]string
	// merged are the services of the mesh, by the source or group and the name in lower case.
	merged map[catalog.Key]mergedService
}

// mergedService is one service of the mesh.
type mergedService struct {
	// key is the key of the service in the mesh.
	key catalog.Key
	// parts are the newest reports, sorted by key.
	parts []catalog.Service
}

func newMerger(groups map[string]string) merger {
	return merger{groups: groups, merged: map[catalog.Key]mergedService{}}
}

// merges reports whether a source is a member of a group.
func (m *merger) merges(source string) bool { return m.groups[source] != "" }

// members returns the members of a source's group, sorted. For a source without a group, it returns the source.
func (m *merger) members(source string) []string {
	if !m.merges(source) {
		return []string{source}
	}
	var members []string
	for other, group := range m.groups {
		if group == m.groups[source] {
			members = append(members, other)
		}
	}
	slices.Sort(members)
	return members
}

// keyOf returns the key that the services of a name have in common: that of the group, in lower case.
func (m *merger) keyOf(key catalog.Key) catalog.Key {
	return catalog.Key{Source: cmp.Or(m.groups[key.Source], key.Source), Name: key.Name}.Fold()
}

// merge records a report. It returns the service for the mesh, and the key that the service had before; the zero key if it
// is new.
func (m *merger) merge(report catalog.Service) (service catalog.Service, before catalog.Key) {
	group := m.groups[report.Source]
	id := m.keyOf(report.Key)
	merged := m.merged[id]
	before = merged.key
	at, found := slices.BinarySearchFunc(merged.parts, report.Key, func(part catalog.Service, key catalog.Key) int { return part.Key.Compare(key) })
	switch {
	case found && len(report.Instances) > 0:
		merged.parts[at] = report
	case found:
		merged.parts = slices.Delete(merged.parts, at, at+1)
	case len(report.Instances) > 0:
		merged.parts = slices.Insert(merged.parts, at, report)
	}
	if len(merged.parts) == 0 {
		delete(m.merged, id)
		report.Key = cmp.Or(before, catalog.Key{Source: id.Source, Name: report.Name})
		report.Instances = nil
		return report, before
	}
	merged.key = catalog.Key{Source: id.Source, Name: registeredName(id.Name, merged.parts)}
	m.merged[id] = merged
	if len(merged.parts) == 1 && group == "" {
		return merged.parts[0], before
	}
	return join(merged.key, merged.parts, group != ""), before
}

// registeredName returns the name of a service among names that differ in case only: the one in lower case, else the first.
// It does not depend on the order of reports, so all replicas use the same.
func registeredName(lower string, parts []catalog.Service) string {
	name := parts[0].Name
	for _, part := range parts {
		if part.Name == lower {
			return lower
		}
		name = min(name, part.Name)
	}
	return name
}

// join combines the instances of all parts. If two parts have the same instance, the part with the newer registration
// provides it, and else the first part: two sources may be views of one datacenter, and an instance may have changed the
// case of its service's name.
func join(key catalog.Key, parts []catalog.Service, withSource bool) catalog.Service {
	merged := catalog.Service{Key: key}
	if !withSource {
		merged.Datacenter = parts[0].Datacenter
	}
	merged.Generation = parts[0].Generation
	seen := map[catalog.InstanceID]int{}
	for _, part := range parts {
		merged.Generation = min(merged.Generation, part.Generation)
		for _, instance := range part.Instances {
			if withSource {
				instance.Source = part.Source
			}
			id := instance.ID.Fold()
			at, known := seen[id]
			switch {
			case !known:
				seen[id] = len(merged.Instances)
				merged.Instances = append(merged.Instances, instance)
			case instance.Source == merged.Instances[at].Source && instance.Modified > merged.Instances[at].Modified:
				merged.Instances[at] = instance
			}
		}
	}
	slices.SortFunc(merged.Instances, func(a, b catalog.Instance) int { return a.ID.Compare(b.ID) })
	catalog.MarkEndpoints(merged.Instances)
	return merged
}
