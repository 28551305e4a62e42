package consul

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// The tagged addresses of virtual addresses: those that Consul assigns, and those of another platform, for example the
// ClusterIP of a Service of Kubernetes.
var virtualTags = []string{"consul-virtual", "virtual"}

// virtualAddresses returns the virtual addresses of an instance.
func virtualAddresses(tagged map[string]api.ServiceAddress) (addresses []string) {
	for _, tag := range virtualTags {
		if address := tagged[tag].Address; address != "" && len(address) <= maxURL {
			addresses = append(addresses, address)
		}
	}
	return addresses
}

// useTaggedAddress gives an instance its tagged address with a key, if it has one:
//
//  1. the tagged address of the service, with its port
//  2. the tagged address of the node, if the service has no other address than its node
//  3. the normal address
//
// A URL is no address. Checks of the normal port become checks of the port of the tagged address: both are the same port of
// the instance.
func useTaggedAddress(instance *catalog.Instance, entry *api.ServiceEntry, tag string) {
	if tag == "" {
		return
	}
	node, service := entry.Node, entry.Service
	if own := service.TaggedAddresses[tag]; isAddress(own.Address) {
		port := cmp.Or(own.Port, instance.Port)
		for i := range instance.Checks {
			if instance.Checks[i].Port == instance.Port {
				instance.Checks[i].Port = port
			}
		}
		slices.SortFunc(instance.Checks, catalog.Check.Compare)
		for i := range instance.Ports {
			if instance.Ports[i].Number == instance.Port {
				instance.Ports[i].Number = port
			}
		}
		instance.Address, instance.Port = own.Address, port
		return
	}
	if address := node.TaggedAddresses[tag]; isAddress(address) && catalog.SameAddress(instance.Address, node.Address) {
		instance.Address = address
	}
}

// isAddress reports whether a tagged address is not empty and no URL.
func isAddress(address string) bool { return address != "" && !strings.Contains(address, "://") }

// maxURL is the maximum length of a URL in a tagged address, in bytes.
const maxURL = 1024

// urlPorts returns the tagged addresses that are URLs as named ports, sorted by name. go-kratos registers all ports of an
// instance so:
//
//	"grpc": {"Address": "grpc://10.0.0.1:9000?isSecure=false", "Port": 9000}
//
// The key is the name of the port, and the scheme is its protocol. A URL with another host than the address of the instance
// is a port at that host.
func urlPorts(tagged map[string]api.ServiceAddress, address string) []catalog.Port {
	var ports []catalog.Port
	for _, name := range slices.Sorted(maps.Keys(tagged)) {
		text := tagged[name].Address
		if len(text) > maxURL || !strings.Contains(text, "://") {
			continue
		}
		u, err := url.Parse(text)
		if err != nil || u.Hostname() == "" {
			continue
		}
		port := catalog.Port{Name: name, Number: urlPort(u, tagged[name].Port), Protocol: urlProtocol(u)}
		if !catalog.SameAddress(u.Hostname(), address) {
			port.Address = u.Hostname()
		}
		ports = append(ports, port)
	}
	return ports
}

// urlPort returns the port of a URL, else the port beside it, else the one of the scheme.
func urlPort(u *url.URL, beside int) int {
	if u.Port() != "" {
		return portNumber(u.Port())
	}
	return cmp.Or(beside, map[string]int{"http": 80, "ws": 80, "https": 443, "wss": 443}[strings.ToLower(u.Scheme)])
}

// urlProtocol returns the protocol of a URL: its scheme, or the scheme with TLS if the URL has isSecure=true, as in
// go-kratos.
func urlProtocol(u *url.URL) string {
	scheme := strings.ToLower(u.Scheme)
	if !isSecure(u.Query()) {
		return scheme
	}
	switch scheme {
	case "http", "ws", "h2c":
		return "https"
	case "grpc":
		return "grpcs"
	case "https", "grpcs", "wss":
		return scheme
	default:
		return "tls"
	}
}

// isSecure reports whether a query declares TLS.
func isSecure(query url.Values) bool {
	for key, values := range query {
		switch strings.ToLower(key) {
		case "issecure", "is_secure", "secure", "tls", "ssl":
			if slices.ContainsFunc(values, func(value string) bool { return strings.EqualFold(value, "true") || value == "1" }) {
				return true
			}
		}
	}
	return false
}
