package catalog

// Grouping assigns the registrations of a service to endpoints. All keys are indexes of registrations.
type Grouping struct {
	// Superseded holds, for each registration with the same address and port as a newer one, the index of the newer one.
	Superseded map[int]int
	// Additional holds the registrations that are additional ports of endpoints.
	Additional map[int]AdditionalPort
	// Unassigned holds the registrations that belong to no endpoint, and the names of their ports. The name is empty if
	// nothing tells which port the registration is.
	Unassigned map[int]string
	// Alike lists a registration of each address with several registrations that nothing tells apart.
	Alike []int
	// Guessed lists the registrations that have the main port because they have no hint to another one.
	Guessed []int
	// MainPort is the name of the main port, if the endpoints have several ports. It is empty for registrations without a
	// distinguishing tag.
	MainPort string
}

// AdditionalPort is a port that an endpoint has in addition to its main port.
type AdditionalPort struct {
	// Name is the name of the port, in lower case.
	Name string
	// Main is the index of the registration with the main port.
	Main int
}

// Group assigns the registrations of a service to endpoints. Registrations that are left out belong to none:
//
//	same address and port                         the newest registration counts
//	same address, other port, other port tag      ports of one endpoint; see portNames
//	same address, other port, no other port tag   two endpoints
//
// The result depends on all registrations, healthy or not, and not on their order.
func Group(instances []Instance) Grouping {
	if len(instances) < 2 {
		return Grouping{}
	}
	endpoints := endpointsOf(instances)
	g := Grouping{Superseded: superseded(instances, endpoints)}
	hosts := hostsOf(endpoints, g.Superseded)
	if hosts.shared() {
		g.assignPorts(instances, hosts)
	}
	return g
}

// MarkEndpoints sets the fields Superseded and AdditionalPort of all instances.
func MarkEndpoints(instances []Instance) {
	g := Group(instances)
	for i := range instances {
		_, instances[i].Superseded = g.Superseded[i]
		_, additional := g.Additional[i]
		_, unassigned := g.Unassigned[i]
		instances[i].AdditionalPort = additional || unassigned
	}
}

// Endpoints returns the number of endpoints: the instances that are neither left out, superseded nor an additional port.
func (s Service) Endpoints() int {
	count := 0
	for i := range s.Instances {
		if i := &s.Instances[i]; i.LeftOut == 0 && !i.Superseded && !i.AdditionalPort {
			count++
		}
	}
	return count
}

// hosts are the registrations of a service by their address, in the order of the catalog.
type hosts struct {
	// first holds the first registration of each address.
	first map[host]int
	// order lists the addresses.
	order []host
	// more holds the further registrations of an address.
	more map[host][]int
}

// hostsOf returns the registrations by their address, without those that are superseded.
func hostsOf(endpoints []endpoint, superseded map[int]int) hosts {
	hosts := hosts{first: make(map[host]int, len(endpoints)), order: make([]host, 0, len(endpoints))}
	for i, e := range endpoints {
		if _, old := superseded[i]; old || e == (endpoint{}) {
			continue
		}
		if _, known := hosts.first[e.host]; !known {
			hosts.first[e.host] = i
			hosts.order = append(hosts.order, e.host)
			continue
		}
		if hosts.more == nil {
			hosts.more = map[host][]int{}
		}
		hosts.more[e.host] = append(hosts.more[e.host], i)
	}
	return hosts
}

// shared reports whether an address has several registrations.
func (h hosts) shared() bool { return len(h.more) > 0 }

// at returns the registrations of an address.
func (h hosts) at(address host) []int {
	return append([]int{h.first[address]}, h.more[address]...)
}
