package catalog

import (
	"regexp"
	"slices"
	"strings"
)

// PortKey is the key of a meta entry or tag by which a registration names its port. It has precedence over all other tags.
const PortKey = "isthmus-port"

const (
	// maxPortTags is the maximum number of tags of a registration that are inspected.
	maxPortTags = 256
	// maxPortTag is the maximum length of a tag that names a port.
	maxPortTag = 48
	// maxPorts is the maximum number of ports that tags tell apart.
	maxPorts = 16
)

// portTags are the tags of a registration that may name its port.
type portTags struct {
	// names are sorted and unique.
	names []string
	// label is the label of the port in Nomad.
	label string
	// explicit is true if PortKey names the port.
	explicit bool
}

// all returns the names and the label, without duplicates.
func (t portTags) all() []string {
	if t.label == "" || slices.Contains(t.names, t.label) {
		return t.names
	}
	return append(slices.Clone(t.names), t.label)
}

// portTagsOf returns the tags of a registration that may name its port, in lower case and with dashes as separators: bare
// tags, and the values of meta entries and tags with one of the keys in portKeys. A tag that describes an instance or a
// version names no port.
func portTagsOf(i Instance) portTags {
	var tags portTags
	add := func(text string) {
		if name, ok := portTag(text); ok {
			tags.names = append(tags.names, name)
		}
	}
	if name, ok := explicitPort(i); ok {
		return portTags{names: []string{name}, explicit: true}
	}
	for _, key := range portKeys {
		add(i.Meta[key])
	}
	for _, tag := range i.Tags[:min(len(i.Tags), maxPortTags)] {
		at := strings.IndexAny(tag, "=|")
		switch {
		case at < 0:
			add(tag)
		case slices.Contains(portKeys, strings.ToLower(tag[:at])):
			add(tag[at+1:])
		case strings.HasPrefix(tag, "tag.") && tag[at+1:] == "true": // the label of a bare tag, in restored instances
			add(tag[len("tag."):at])
		}
	}
	tags.label = portName(nomadPort(i.ID.ServiceID))
	slices.Sort(tags.names)
	tags.names = slices.Compact(tags.names)
	return tags
}

// explicitPort returns the name that PortKey gives to the port.
func explicitPort(i Instance) (string, bool) {
	if name := portName(i.Meta[PortKey]); name != "" {
		return name, true
	}
	for _, tag := range i.Tags[:min(len(i.Tags), maxPortTags)] {
		if value, ok := strings.CutPrefix(tag, PortKey+"="); ok && portName(value) != "" {
			return portName(value), true
		}
	}
	return "", false
}

// portKeys are the keys of meta entries and tags whose values may name a port.
var portKeys = []string{"endpoint", "kind", "port-name", "port_name", "portname", "proto", "protocol", "scheme"}

var (
	portNamePattern = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	portSeparators  = strings.NewReplacer(".", "-", "_", "-")
	// versionPattern matches versions, hashes, and regions and zones of clouds.
	versionPattern = regexp.MustCompile(`^(v[0-9].*|[a-f0-9]{7,}|[a-z]{2,}-[a-z]+-?[0-9]+-?[a-z]?)$`)
)

// portName returns the form in which ports are compared; empty if a text cannot be the name of a port.
func portName(text string) string {
	if len(text) > maxPortTag {
		return ""
	}
	if text = portSeparators.Replace(strings.ToLower(text)); !portNamePattern.MatchString(text) {
		return ""
	}
	return text
}

// portTag returns the name of the port that a tag may mean; false if the tag means something else.
func portTag(text string) (string, bool) {
	name := portName(text)
	if name == "" {
		return "", false
	}
	parts := strings.Split(name, "-")
	if slices.Contains(routers, parts[0]) || hasAny(parts, instanceWords) {
		return "", false
	}
	last := name[len(name)-1]
	if !knownPort(name) && ('0' <= last && last <= '9' || versionPattern.MatchString(name)) {
		return "", false
	}
	return name, true
}

// routers are the first words of tags that configure a router.
var routers = []string{"traefik", "urlprefix", "caddy", "haproxy", "fabio"}

// instanceWords describe an instance and its role or release, not a port.
var instanceWords = wordSet(`
	active baseline blue canary candidate current dev development experimental follower green initialized leader master
	passive preview primary prod production qa replica secondary shadow slave snapshot spare stable stage staging standby
	test uat`)

// mainWords name the main port of an endpoint.
var mainWords = wordSet("default main")

// transportWords name a port by its protocol.
var transportWords = wordSet(`
	amqp amqps binary client grpc grpcs grpcweb h2 h2c http http1 http2 http3 https mqtt mqtts native plain plaintext rest rpc
	sql ssl tcp thrift tls web websocket ws wss www`)

// internalWords name ports that the instances of a service use among themselves.
var internalWords = wordSet("cluster election erlang gossip inter internode peer raft replication serf shard sync transport")

// operationWords name ports of operators and their tools.
var operationWords = wordSet(`
	actuator admin administration dapr debug debugger exporter health healthcheck healthz heartbeat jmx management metric
	metrics mgmt monitor monitoring ops pprof probe probes profiler profiling prometheus readiness sidecar stats statsd status
	telemetry tracing`)

// knownPort reports whether a name contains a word that only ports have.
func knownPort(name string) bool {
	parts := strings.Split(name, "-")
	return hasAny(parts, mainWords) || hasAny(parts, transportWords) || hasAny(parts, internalWords) || hasAny(parts, operationWords)
}

func wordSet(text string) map[string]bool {
	set := map[string]bool{}
	for _, word := range strings.Fields(text) {
		set[word] = true
	}
	return set
}

func hasAny(words []string, set map[string]bool) bool {
	return slices.ContainsFunc(words, func(word string) bool { return set[word] })
}

// rank orders the ports of an endpoint by their suitability as the main port; the smallest is the best. httpCheck is true
// if a check of the port uses HTTP.
func rank(name string, httpCheck bool) int {
	parts := strings.Split(name, "-")
	switch {
	case hasAny(parts, mainWords):
		return 0
	case hasAny(parts, operationWords):
		return 9
	case hasAny(parts, internalWords):
		return 8
	case parts[0] == "http":
		return 1
	case parts[0] == "web", parts[0] == "www":
		return 2
	case name == "":
		return 3
	case parts[0] == "https":
		return 4
	case httpCheck:
		return 5
	default:
		return 6
	}
}

// nomadTask matches the ID of a registration by Nomad: the allocation, and the rest with the task, the service and the port.
var nomadTask = regexp.MustCompile(`^_nomad-(?:task|group)-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-(.*)$`)

// nomadAllocation returns the allocation in the ID of a registration by Nomad; empty for any other ID.
func nomadAllocation(serviceID string) string {
	if !strings.HasPrefix(serviceID, "_nomad-") {
		return ""
	}
	if match := nomadTask.FindStringSubmatch(serviceID); match != nil {
		return match[1]
	}
	return ""
}

// nomadPort returns the label of the port in the ID of a registration by Nomad; empty if there is none.
func nomadPort(serviceID string) string {
	if nomadAllocation(serviceID) == "" {
		return ""
	}
	return serviceID[strings.LastIndexByte(serviceID, '-')+1:]
}
