package catalog

import (
	"cmp"
	"slices"
)

// portFinder finds the names of ports among the registrations of a service.
type portFinder struct {
	instances []Instance
	hosts     hosts
	// tags caches portTagsOf.
	tags map[int]portTags
	// differences holds, for the registrations that others at the address differ from, the port tags that differ.
	differences map[int][]string
	// frequency is the number of registrations that differ by a tag.
	frequency map[string]int
	// names holds the name of the port of the registrations with differences; "" for the one that has no port tag.
	names map[int]string
	// ports are the names of all ports, the best main port first.
	ports []string
	// certain is true if a name is certain to be the name of a port.
	certain bool
	// mainKind is the kind of the checks of the main port; empty if they differ.
	mainKind string
	// byNumber holds the port with a number, and noPort if several have it.
	byNumber map[int]string
}

// noPort is the name of a port that cannot be told. It is not a valid name.
const noPort = "?"

// assignPorts finds the ports that port tags tell apart, and assigns the registrations to endpoints. Two registrations at
// one address are ports of one endpoint if they differ in a port tag. The other registrations have the port with the same
// tag, or else the one with the same number; see portOf.
//
// The tags mean something else, and each registration is an endpoint, if most addresses lack the main port, or if no name
// is one that only ports have and most addresses have one registration.
func (g *Grouping) assignPorts(instances []Instance, hosts hosts) {
	f := &portFinder{
		instances: instances, hosts: hosts, tags: map[int]portTags{},
		differences: map[int][]string{}, frequency: map[string]int{}, names: map[int]string{}, byNumber: map[int]string{},
	}
	f.compareAll(g)
	f.nameAll()
	if len(f.ports) < 2 || len(f.ports) > maxPorts {
		return
	}
	found := Grouping{Additional: map[int]AdditionalPort{}, Unassigned: map[int]string{}, MainPort: f.ports[0]}
	withMain := 0
	for _, address := range hosts.order {
		if f.assignAt(address, &found) {
			withMain++
		}
	}
	if 2*withMain < len(hosts.order) || !f.certain && 2*len(hosts.more) < len(hosts.order) {
		return
	}
	found.Superseded, found.Alike = g.Superseded, g.Alike
	*g = found
}

// nameAll gives each registration with differences the name of its port, and collects the ports.
func (f *portFinder) nameAll() {
	httpCheck := map[string]bool{}
	for i := range f.instances {
		differences, ok := f.differences[i]
		if !ok {
			continue
		}
		name := ""
		if len(differences) > 0 {
			name = slices.MinFunc(differences, f.compareTags)
		}
		f.names[i] = name
		httpCheck[name] = httpCheck[name] || checkedKind(f.instances[i]) == "http"
		if other, known := f.byNumber[f.instances[i].Port]; known && other != name {
			f.byNumber[f.instances[i].Port] = noPort
		} else {
			f.byNumber[f.instances[i].Port] = name
		}
	}
	for name := range httpCheck {
		f.ports = append(f.ports, name)
		f.certain = f.certain || knownPort(name)
	}
	slices.SortFunc(f.ports, func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a, httpCheck[a]), rank(b, httpCheck[b])), cmp.Compare(a, b))
	})
	kinds := map[string]bool{}
	for i, name := range f.names {
		if name == f.ports[0] {
			kinds[checkedKind(f.instances[i])] = true
		}
	}
	if len(kinds) == 1 {
		for kind := range kinds {
			f.mainKind = kind
		}
	}
}

// compareTags orders the tags that may name a port: known names first, then those of most registrations.
func (f *portFinder) compareTags(a, b string) int {
	unknown := func(name string) int {
		if knownPort(name) {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(unknown(a), unknown(b)), cmp.Compare(f.frequency[b], f.frequency[a]), cmp.Compare(a, b))
}

// portOf returns the name of a registration's port; noPort if it cannot be told. alone is true for the only registration at
// its address: without a hint to another port, it has the main port, and guessed is true.
func (f *portFinder) portOf(i int, alone bool) (name string, guessed bool) {
	if name, ok := f.names[i]; ok {
		return name, false
	}
	var named []string
	for _, name := range f.tagsOf(i).all() {
		if slices.Contains(f.ports, name) {
			named = append(named, name)
		}
	}
	if len(named) == 1 {
		return named[0], false
	}
	if name, ok := f.byNumber[f.instances[i].Port]; ok && name != noPort {
		return name, false
	}
	if len(named) > 0 {
		return noPort, false
	}
	kind := checkedKind(f.instances[i])
	switch {
	case slices.Contains(f.ports, ""):
		return "", false
	case kind != "" && slices.Contains(f.ports, kind):
		return kind, false
	case alone && !slices.ContainsFunc(f.tagsOf(i).names, knownPort) && (kind == "" || f.mainKind == "" || kind == f.mainKind):
		return f.ports[0], true
	default:
		return noPort, false
	}
}

// tagsOf returns the port tags of a registration.
func (f *portFinder) tagsOf(i int) portTags {
	tags, known := f.tags[i]
	if !known {
		tags = portTagsOf(f.instances[i])
		f.tags[i] = tags
	}
	return tags
}

// assignAt assigns the registrations at one address. Each registration of the main port is an endpoint; the n-th additional
// registration of a port belongs to the n-th endpoint that lacks it, first within the allocation. It reports whether the
// address has an endpoint.
func (f *portFinder) assignAt(address host, found *Grouping) bool {
	members := f.hosts.at(address)
	var mains []int
	additional := map[string][]int{}
	for _, i := range members {
		name, guessed := f.portOf(i, len(members) == 1)
		if guessed {
			found.Guessed = append(found.Guessed, i)
		}
		if name == f.ports[0] {
			mains = append(mains, i)
		} else {
			additional[name] = append(additional[name], i)
		}
	}
	for name, registrations := range additional {
		if name == noPort {
			for _, i := range registrations {
				found.Unassigned[i] = ""
			}
			continue
		}
		free := slices.Clone(mains)
		rest := f.pair(registrations, &free, name, found, true)
		for _, i := range f.pair(rest, &free, name, found, false) {
			found.Unassigned[i] = name
		}
	}
	return len(mains) > 0
}

// pair assigns registrations of one port to endpoints that lack it, and removes those from the list. It returns the
// registrations that are left. If sameAllocation is set, both must be of one allocation of Nomad.
func (f *portFinder) pair(registrations []int, free *[]int, name string, found *Grouping, sameAllocation bool) (rest []int) {
	group := func(i int) string {
		if sameAllocation {
			return nomadAllocation(f.instances[i].ID.ServiceID)
		}
		return ""
	}
	byGroup := map[string][]int{}
	for _, main := range *free {
		byGroup[group(main)] = append(byGroup[group(main)], main)
	}
	taken := map[int]bool{}
	for _, i := range registrations {
		mains := byGroup[group(i)]
		if len(mains) == 0 {
			rest = append(rest, i)
			continue
		}
		found.Additional[i] = AdditionalPort{Name: name, Main: mains[0]}
		taken[mains[0]] = true
		byGroup[group(i)] = mains[1:]
	}
	*free = slices.DeleteFunc(*free, func(main int) bool { return taken[main] })
	return rest
}
