package mesh

import (
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// The keys of node meta and instance meta that hold the location; the first one applies. Spring Cloud Consul writes "zone"
// (spring.cloud.consul.discovery.instance-zone).
var (
	regionMeta = []string{"region", "topology-region"}
	zoneMeta   = []string{"zone", "topology-zone", "availability-zone"}
)

// locality returns the location of an instance in Istio's notation: region/zone. The first source of each part applies:
//
//  1. Consul's Locality
//  2. node meta
//  3. instance meta
//  4. the datacenter, for the region only
func locality(instance catalog.Instance) string {
	region := firstOf(instance.Locality.Region, instance.NodeMeta, instance.Meta, regionMeta)
	zone := firstOf(instance.Locality.Zone, instance.NodeMeta, instance.Meta, zoneMeta)
	if region == "" {
		region = cleanLocality(instance.ID.Datacenter)
	}
	if zone == "" {
		return region
	}
	return region + "/" + zone
}

// firstOf returns the first location that is set.
func firstOf(own string, nodeMeta, meta map[string]string, keys []string) string {
	if own = cleanLocality(own); own != "" {
		return own
	}
	for _, m := range []map[string]string{nodeMeta, meta} {
		for _, key := range keys {
			if value := cleanLocality(m[key]); value != "" {
				return value
			}
		}
	}
	return ""
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
