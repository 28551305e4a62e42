package mesh

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// locality returns the location of an instance in Istio's notation: region/zone. The first rule with a result applies:
//
//	   region                                    zone
//	1  Consul's Locality                         Consul's Locality
//	2  node meta                                 node meta
//	3  instance meta                             instance meta
//	4  tag of the form key=value                 tag of the form key=value
//	5                                            bare tag that is a zone of a cloud
//	6  the region in the name of a cloud's zone
//	7  the configuration of the source           the configuration of the source
//	8  the datacenter                            the datacenter, if it has the name of a cloud's zone
//
// What the registration declares has precedence over the configuration of the source, because a datacenter may span zones
// and hold instances of other regions. localityKeys has the keys.
func (o Options) locality(source string, instance catalog.Instance) string {
	configured := o.Localities[source]
	region, zone := declaredLocation(instance, instance.Locality.Region, regionPart), declaredLocation(instance, instance.Locality.Zone, zonePart)
	if zone == "" {
		zone = cmp.Or(bareZone(instance), configured.Zone)
	}
	datacenter := cleanLocality(instance.ID.Datacenter)
	if of := regionOfZone(datacenter); zone == "" && of != "" && cmp.Or(region, configured.Region, of) == of {
		zone = datacenter
	}
	region = cmp.Or(region, regionOfZone(zone), configured.Region, datacenter)
	if name, ok := azureRegion(region); ok {
		region = name
		if slices.Contains(azureZones, zone) { // nodes of AKS have the zone westeurope-1, but the virtual machines have 1
			zone = region + "-" + zone
		}
	}
	if zone == "" {
		return region
	}
	return region + "/" + zone
}

// declaredLocation returns a part of the location that the registration declares by key (rules 1 to 4). Consul's Locality is own.
func declaredLocation(instance catalog.Instance, own, part string) string {
	value := locationValue(own)
	for _, meta := range []map[string]string{instance.NodeMeta, instance.Meta} {
		if value == "" {
			value = locationIn(meta, part)
		}
	}
	if value == "" {
		value = locationInTags(instance, part)
	}
	return value
}

// locationIn returns the value of the meta entry that holds a part of the location: of the keys with fewest words, the first in
// alphabetical order.
func locationIn(meta map[string]string, part string) string {
	var best, found string
	least := 0
	for key, value := range meta {
		words, ok := localityKey(key, part)
		if !ok || found != "" && (words > least || words == least && key > best) {
			continue
		}
		if value = locationValue(value); value != "" {
			best, found, least = key, value, words
		}
	}
	return found
}

// locationInTags returns the value of the first tag that holds a part of the location: zone=eu-west-1a, az:eu-west-1a.
func locationInTags(instance catalog.Instance, part string) string {
	for _, tag := range inspectedTags(instance) {
		at := strings.IndexAny(tag, "=|:")
		if at <= 0 {
			continue
		}
		if _, ok := localityKey(tag[:at], part); ok {
			if value := locationValue(tag[at+1:]); value != "" {
				return value
			}
		}
	}
	return ""
}

// bareZone returns the bare tag that has the name of a cloud's zone; empty if there are several.
func bareZone(instance catalog.Instance) (zone string) {
	for _, tag := range inspectedTags(instance) {
		if len(tag) > maxLabel || tag == zone || regionOfZone(tag) == "" {
			continue
		}
		if zone != "" {
			return ""
		}
		zone = tag
	}
	return zone
}

// noLocation are values, in lower case, that say that the location is unknown.
var noLocation = []string{"-", "default", "defaultzone", "n/a", "none", "null", "undefined", "unknown"}

// locationValue returns a region or zone as a part of a locality; empty if the text says that it is unknown. Metadata servers
// of Google return a path: projects/123/zones/europe-west1-b.
func locationValue(text string) string {
	if text == "" || isPlaceholder(text) || slices.Contains(noLocation, strings.ToLower(text)) {
		return ""
	}
	for _, parent := range []string{"/zones/", "/regions/"} {
		if _, name, found := strings.Cut(text, parent); found {
			text = name
		}
	}
	return cleanLocality(text)
}

// cleanLocality converts a region or zone to one part of a locality. It replaces slashes, which separate the parts, and
// other characters that labels cannot have, because Istio also sets the locality as a label.
func cleanLocality(text string) string {
	clean := cleanName(text)
	if len(clean) > maxLabel {
		clean = strings.TrimRight(clean[:maxLabel], "-_.")
	}
	return clean
}

// CheckLocality returns an error if a region or zone cannot be a part of a locality.
func CheckLocality(text string) error {
	if cleanLocality(text) != text {
		return fmt.Errorf("%q is not a part of a locality: use at most %d letters, digits, -, _ and ., as in the labels of the nodes", clip(text), maxLabel)
	}
	return nil
}
