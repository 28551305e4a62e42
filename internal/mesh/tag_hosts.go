package mesh

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// maxTagHosts is the maximum number of tags of a service that have hosts of their own. Each one costs a ServiceEntry and a
// virtual address, and teams choose the tags.
const maxTagHosts = 16

// TagHost holds the desired objects for the hosts of one tag of a service: TAG.NAME.service.DOMAIN, as in Consul's DNS. The
// ServiceEntry comes first, then the DestinationRules.
//
// The endpoints are part of the ServiceEntry in both forms. If the tag moves to another instance, one write replaces the
// endpoints, so no caller reaches an instance that has lost the tag.
type TagHost struct {
	Tag     string
	Objects []Object
}

// CheckTagGlob returns an error if a glob cannot be an entry of Options.TagHosts.
func CheckTagGlob(glob string) error {
	valid := strings.Trim(strings.NewReplacer("*", "x", "?", "x").Replace(strings.ToLower(glob)), "-")
	switch {
	case glob == "":
		return errors.New("the glob is empty; use * for any tag")
	case !isDNSLabel(valid):
		return fmt.Errorf("%q matches no tag that is a DNS label; a tag is one label of a host, so use letters, digits, - and at most 63 characters", glob)
	}
	return nil
}

// tagHosts translates the tags of one service.
type tagHosts struct {
	service catalog.Service
	name    Name
	// endpoints are all usable endpoints, healthy or not.
	endpoints []endpoint
	// entry is the ServiceEntry of the service.
	entry       *networking.ServiceEntry
	namespace   string
	origination *TLSOrigination
	options     Options
	// matching holds the tags of each endpoint that match the configuration.
	matching map[*catalog.Instance][]string
	// ports holds the registrations of the tags that select an additional port.
	ports map[string][]catalog.Instance
}

// translate returns the objects for the hosts of the chosen tags, with those of the given endpoints that have the tag.
func (t tagHosts) translate(healthy []endpoint, report *report) []TagHost {
	if len(t.options.TagHosts) == 0 {
		return nil
	}
	t.matching = map[*catalog.Instance][]string{}
	for _, e := range t.endpoints {
		if tags := t.matchingTags(*e.instance); len(tags) > 0 {
			t.matching[e.instance] = tags
		}
	}
	t.ports = t.portTags()
	var all []TagHost
	for _, tag := range t.choose(report) {
		name, spec := t.name.OfTag(tag), t.bareEntry()
		spec.Hosts = t.hosts(tag, report)
		if len(spec.Hosts) == 0 {
			continue
		}
		if registrations := t.ports[tag]; len(registrations) > 0 {
			if objects, ok := t.ofPort(tag, spec.Hosts, registrations); ok {
				all = append(all, TagHost{Tag: tag, Objects: objects})
			}
			continue
		}
		spec.Endpoints = t.taggedEndpoints(tag, healthy, report)
		if len(spec.Endpoints) == 0 {
			// Istio resolves the host of a DNS entry without endpoints.
			spec.Resolution = networking.ServiceEntry_STATIC
		}
		objects := []Object{serviceEntryObject(t.service, name, t.namespace, spec)}
		t.options.Placement.setRuleMetadata(t.service, &objects[0])
		if t.origination != nil {
			objects = append(objects, t.origination.destinationRules(name, t.namespace, spec)...)
		}
		all = append(all, TagHost{Tag: tag, Objects: objects})
	}
	return all
}

// choose returns the tags that have hosts, sorted. A tag that had a host keeps it while no instance has the tag: during a
// failover, no instance has the tag of the leader for a moment. If there are too many, tags of instances have precedence
// over tags without instances, and among them those that have a host already.
func (t tagHosts) choose(report *report) []string {
	rank := map[string]int{}
	for _, e := range t.endpoints {
		for _, tag := range t.matching[e.instance] {
			if isDNSLabel(tag) {
				rank[tag] = 1
			} else {
				report.host(BadHost, tag, "the tag is not a DNS label; it gets no host")
			}
		}
	}
	for tag := range t.ports {
		if isDNSLabel(tag) {
			rank[tag] = 1
		}
	}
	for _, tag := range t.service.FormerTags {
		if _, present := rank[tag]; present {
			rank[tag] = 0
		} else if isDNSLabel(tag) && catalog.MatchService(t.options.TagHosts, tag) {
			rank[tag] = 2
		}
	}
	tags := make([]string, 0, len(rank))
	for tag := range rank {
		tags = append(tags, tag)
	}
	slices.SortFunc(tags, func(a, b string) int { return cmp.Or(cmp.Compare(rank[a], rank[b]), cmp.Compare(a, b)) })
	if len(tags) > maxTagHosts {
		if first := tags[maxTagHosts]; rank[first] < 2 {
			report.service(TooManyTagHosts, fmt.Sprintf(
				"more than %d tags of the service match mesh.tagHosts; %q and the following ones get no host", maxTagHosts, first,
			))
		}
		tags = tags[:maxTagHosts]
	}
	slices.Sort(tags)
	return tags
}

// matchingTags returns the tags of an instance that match the configuration, in lower case: Consul's DNS ignores the case.
// Tags that hold a key and a value, or the configuration of a router, are no names.
func (t tagHosts) matchingTags(instance catalog.Instance) []string {
	var tags []string
	for _, tag := range inspectedTags(instance) {
		tag = strings.ToLower(tag)
		if strings.TrimSpace(tag) == "" || len(tag) > maxRaw || strings.ContainsAny(tag, "=|") || isRouterTag(tag) || isPlaceholder(tag) {
			continue
		}
		if catalog.MatchService(t.options.TagHosts, tag) && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags
}

// hosts returns the hosts of a tag: one for each host of the service in Consul's DNS. A host that a pattern gives to a
// service belongs to that service, whether it exists or not.
func (t tagHosts) hosts(tag string, report *report) []string {
	var hosts []string
	patterns := t.options.hostPatterns(t.name.Source, t.service.Datacenter)
	for _, c := range patterns {
		base := c.host(t.name.Label)
		if !c.builtin || c.source != t.name.Source || !slices.Contains(t.entry.Hosts, base) {
			continue
		}
		host := tag + "." + base
		switch other, taken := ownerOf(patterns, host, Name{}); {
		case taken:
			report.host(BadHost, host, fmt.Sprintf("the host belongs to service %q of source %s; the tag gets no such host", other.Label, other.Source))
		case !isHost(host):
			report.host(BadHost, host, "the host is too long; the tag gets no such host")
		default:
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// bareEntry returns a copy of the service's ServiceEntry without endpoints.
func (t tagHosts) bareEntry() *networking.ServiceEntry {
	endpoints, selector := t.entry.Endpoints, t.entry.WorkloadSelector
	t.entry.Endpoints, t.entry.WorkloadSelector = nil, nil
	bare := proto.CloneOf(t.entry)
	t.entry.Endpoints, t.entry.WorkloadSelector = endpoints, selector
	return bare
}

// taggedEndpoints returns the endpoints with a tag, up to the size of an object.
func (t tagHosts) taggedEndpoints(tag string, healthy []endpoint, report *report) []*networking.WorkloadEntry {
	var tagged []endpoint
	size := 0
	for _, e := range healthy {
		if !slices.Contains(t.matching[e.instance], tag) {
			continue
		}
		if size > maxInline {
			report.instance(TooManyInstances, *e.instance, fmt.Sprintf("tag %q: the object is full; the tag's host lacks the instance", tag))
			continue
		}
		size += jsonSize(e)
		tagged = append(tagged, e)
	}
	if t.options.Form == InlineForm {
		entries := make([]*networking.WorkloadEntry, len(tagged))
		for i, e := range tagged {
			entries[i] = e.entry
		}
		return entries
	}
	for i, e := range tagged { // the WorkloadEntry has more ports
		tagged[i].entry = proto.CloneOf(e.entry)
		tagged[i].entry.Labels = e.entry.Labels
	}
	return inlineEndpoints(tagged, t.entry.Ports)
}
