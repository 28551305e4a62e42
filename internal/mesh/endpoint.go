package mesh

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// endpoint is an instance that Istio can hold.
type endpoint struct {
	id catalog.InstanceID
	// source is the source that reports it, where its service is made of several.
	source string
	entry  *networking.WorkloadEntry
	// port is the instance's own port, and protocol what it speaks there.
	port     uint32
	protocol Protocol
	// byName says that the address is a host name, not an IP address.
	byName bool
	// takesTraffic is false for instances that are registered but must not be called. They still count for
	// what should stay the same while health comes and goes: ports, protocol and resolution.
	takesTraffic bool
}

// usableEndpoints are all instances with an address and a port, healthy or not, in the order of the catalog.
func usableEndpoints(service catalog.Service, name Name, options Options, report *report) []endpoint {
	endpoints := make([]endpoint, 0, len(service.Instances))
	for _, instance := range service.Instances {
		if e, ok := usableEndpoint(instance, name, options, report); ok {
			endpoints = append(endpoints, e)
		}
	}
	return endpoints
}

func usableEndpoint(instance catalog.Instance, name Name, options Options, report *report) (endpoint, bool) {
	address, byName, err := parseAddress(instance.Address)
	switch {
	case instance.Address == "":
		report.add(NoAddress, instance.ID.String(), "neither the instance nor its node has an address; it is left out")
		return endpoint{}, false
	case err != nil:
		report.add(BadAddress, instance.ID.String(), fmt.Sprintf("%v; it is left out", err))
		return endpoint{}, false
	case instance.Port < 1 || instance.Port > 65535:
		report.add(BadPort, instance.ID.String(), fmt.Sprintf("port %d is not within 1 and 65535; it is left out", instance.Port))
		return endpoint{}, false
	}
	weight, takesTraffic := trafficShare(instance, options.PassingOnly)
	port := uint32(instance.Port)
	return endpoint{
		id: instance.ID, source: instance.Source,
		entry: &networking.WorkloadEntry{
			Address:  address,
			Ports:    map[string]uint32{defaultPort: port, nativePort: port},
			Labels:   instanceLabels(instance, name, report),
			Locality: locality(instance),
			Weight:   weight,
		},
		port:         port,
		protocol:     instanceProtocol(instance, options.DefaultProtocol, report),
		byName:       byName,
		takesTraffic: takesTraffic,
	}, true
}

// trafficShare returns the weight that an instance has by its health, and whether it takes traffic at all.
// Consul allows a warning weight of 0: no traffic while warning.
func trafficShare(instance catalog.Instance, passingOnly bool) (uint32, bool) {
	weight := 0
	switch instance.Health {
	case catalog.Passing:
		weight = max(instance.Weights.Passing, 1)
	case catalog.Warning:
		if !passingOnly {
			weight = instance.Weights.Warning
		}
	case catalog.Critical, catalog.Maintenance:
	}
	return uint32(min(max(weight, 0), maxWeight)), weight > 0
}

// maxWeight is the largest weight that Consul gives an instance (a DNS SRV weight, RFC 2782).
const maxWeight = 65535

// resolution is STATIC as long as all addresses are IP addresses. One host name among them makes Envoy resolve
// the names itself, which takes IP addresses as they are.
func resolution(endpoints []endpoint) networking.ServiceEntry_Resolution {
	for _, e := range endpoints {
		if e.byName {
			return networking.ServiceEntry_DNS
		}
	}
	return networking.ServiceEntry_STATIC
}

var dnsLabelPattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

// parseAddress returns the address as Istio takes it: an IP address in its usual form, without brackets, or
// a host name in lower case.
func parseAddress(address string) (parsed string, byName bool, err error) {
	bare := address
	if strings.HasPrefix(bare, "[") && strings.HasSuffix(bare, "]") {
		bare = bare[1 : len(bare)-1]
	}
	if ip, err := netip.ParseAddr(bare); err == nil {
		if ip = ip.Unmap(); ip.Zone() != "" || ip.IsUnspecified() || ip.IsMulticast() {
			return "", false, fmt.Errorf("address %q is no address of one host", clip(address))
		}
		return ip.String(), false, nil
	}
	name := strings.ToLower(strings.TrimSuffix(address, "."))
	if !isHost(name) || !strings.ContainsAny(lastLabel(name), "abcdefghijklmnopqrstuvwxyz") {
		return "", false, fmt.Errorf("address %q is neither an IP address nor a host name", clip(address))
	}
	return name, true, nil
}

// isHost tells whether a name is a host name of lower-case DNS labels (RFC 1123).
func isHost(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if !isDNSLabel(label) {
			return false
		}
	}
	return true
}

func isDNSLabel(text string) bool { return len(text) <= maxLabel && dnsLabelPattern.MatchString(text) }

// lastLabel returns the part behind the last dot. Were it a number, the name would be a mistyped IP address.
func lastLabel(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// clip shortens what a registry holds to what a log line can bear.
func clip(text string) string {
	const most = 100
	text = validText(text)
	if len(text) <= most {
		return text
	}
	return validText(text[:most]) + "…"
}
