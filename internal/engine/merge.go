package engine

import (
	"maps"
	"slices"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// merger makes one service of those that the sources of a group report under one name.
type merger struct {
	// groups holds the group's name of each merged source.
	groups map[string]string
	// parts are what the sources report, by the merged service's key and by source.
	parts map[catalog.Key]map[string]catalog.Service
}

func newMerger(groups map[string]string) merger {
	return merger{groups: groups, parts: map[catalog.Key]map[string]catalog.Service{}}
}

// merges tells whether a source is one of a group.
func (m *merger) merges(source string) bool { return m.groups[source] != "" }

// members returns the sources of the group that a source is in, sorted; the source alone where it is in none.
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

// merge takes a source's newest report of a service in. It returns the service as the mesh should see it: the
// report itself, or the instances of all sources of the group.
func (m *merger) merge(report catalog.Service) catalog.Service {
	group, ok := m.groups[report.Source]
	if !ok {
		return report
	}
	key := catalog.Key{Source: group, Name: report.Name}
	parts := m.parts[key]
	if len(report.Instances) > 0 {
		if parts == nil {
			parts = map[string]catalog.Service{}
			m.parts[key] = parts
		}
		parts[report.Source] = report
	} else if delete(parts, report.Source); len(parts) == 0 {
		delete(m.parts, key)
	}
	return join(key, parts)
}

// join puts the instances of all parts together. Where two of them report the same instance, as two views of one
// datacenter do, the source whose name comes first has it.
func join(key catalog.Key, parts map[string]catalog.Service) catalog.Service {
	merged := catalog.Service{Key: key}
	seen := map[catalog.InstanceID]bool{}
	for _, source := range slices.Sorted(maps.Keys(parts)) {
		for _, instance := range parts[source].Instances {
			if id := instance.ID.Fold(); !seen[id] {
				seen[id] = true
				instance.Source = source
				merged.Instances = append(merged.Instances, instance)
			}
		}
	}
	slices.SortFunc(merged.Instances, func(a, b catalog.Instance) int { return a.ID.Compare(b.ID) })
	return merged
}
