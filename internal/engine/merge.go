package engine

import (
	"maps"
	"slices"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// merger combines the services that the sources of a group report under one name.
type merger struct {
	// groups maps each merged source to the name of its group.
	groups map[string]string
	// parts are the newest reports, by merged key and by source.
	parts map[catalog.Key]map[string]catalog.Service
}

func newMerger(groups map[string]string) merger {
	return merger{groups: groups, parts: map[catalog.Key]map[string]catalog.Service{}}
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

// merge records a report. It returns the service for the mesh: the report itself, or the instances of all members of the
// group.
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

// join combines the instances of all parts. If two sources report the same instance, for example as two views of one
// datacenter, the first source by name provides it.
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
	catalog.MarkSuperseded(merged.Instances)
	return merged
}
