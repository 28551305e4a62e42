package catalog

import "slices"

// compareAll finds the differences at each address. The scheduler of Nomad decides which allocations share a node, so
// registrations of different allocations count only if no allocation has differences, and only by known names.
func (f *portFinder) compareAll(g *Grouping) {
	for address := range f.hosts.more {
		f.compareUnits(address, g)
	}
	slices.Sort(g.Alike)
	if len(f.differences) > 0 {
		return
	}
	for address := range f.hosts.more {
		f.compare(f.hosts.at(address), knownPort)
	}
}

// compareUnits finds the differences among the registrations at an address that are of one allocation of Nomad, and among
// those of other programs.
func (f *portFinder) compareUnits(address host, g *Grouping) {
	byAllocation := map[string][]int{}
	for _, i := range f.hosts.at(address) {
		allocation := nomadAllocation(f.instances[i].ID.ServiceID)
		byAllocation[allocation] = append(byAllocation[allocation], i)
	}
	anyName := func(string) bool { return true }
	for _, unit := range byAllocation {
		if !f.compare(unit, anyName) && len(unit) > 1 && f.alike(unit) {
			g.Alike = append(g.Alike, unit[0])
		}
	}
}

// compare records the port tags in which registrations differ. It reports whether they differ. The label of a port in Nomad
// counts if the registration has no such tag.
func (f *portFinder) compare(members []int, accepted func(name string) bool) bool {
	if len(members) < 2 {
		return false
	}
	count, explicit := map[string]int{}, false
	for _, i := range members {
		tags := f.tagsOf(i)
		explicit = explicit || tags.explicit
		for _, name := range tags.all() {
			count[name]++
		}
	}
	differ := func(name string) bool { return name != "" && count[name] < len(members) && accepted(name) }
	found := map[int][]string{}
	for _, i := range members {
		tags := f.tagsOf(i)
		for _, name := range tags.names {
			if differ(name) {
				found[i] = append(found[i], name)
			}
		}
		if len(found[i]) == 0 && differ(tags.label) {
			found[i] = []string{tags.label}
		}
	}
	if len(found) == 0 {
		return !explicit && f.compareChecks(members)
	}
	f.certain = f.certain || explicit || nomadAllocation(f.instances[members[0]].ID.ServiceID) != ""
	for _, i := range members {
		f.differences[i] = found[i]
		for _, name := range found[i] {
			f.frequency[name]++
		}
	}
	return true
}

// compareChecks tells registrations without different port tags apart by the checks of their own ports. It reports whether
// each has such a check and their types differ.
func (f *portFinder) compareChecks(members []int) bool {
	kinds := map[string]bool{}
	for _, i := range members {
		kind := checkedKind(f.instances[i])
		if kind == "" {
			return false
		}
		kinds[kind] = true
	}
	if len(kinds) < 2 {
		return false
	}
	for _, i := range members {
		kind := checkedKind(f.instances[i])
		f.differences[i] = []string{kind}
		f.frequency[kind]++
	}
	return true
}

// checkedKind returns the name for a port by its own check; empty if there is none.
func checkedKind(i Instance) string {
	for _, kind := range []struct{ check, name string }{{"grpc", "grpc"}, {"h2ping", "http2"}, {"http", "http"}, {"tcp", "tcp"}} {
		if slices.ContainsFunc(i.Checks, func(c Check) bool { return c.Type == kind.check && c.Port == i.Port }) {
			return kind.name
		}
	}
	return ""
}

// dynamicPort is the first number that schedulers assign at random (Nomad from 20000, Docker from 32768).
const dynamicPort = 20000

// alike reports whether nothing tells registrations at one address apart, although their numbers are not random.
func (f *portFinder) alike(members []int) bool {
	fixed := false
	for _, i := range members {
		first := f.instances[members[0]]
		if f.tagsOf(i).explicit || !slices.Equal(f.instances[i].Tags, first.Tags) {
			return false
		}
		fixed = fixed || f.instances[i].Port < dynamicPort
	}
	return fixed
}
