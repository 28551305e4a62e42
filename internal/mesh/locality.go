package mesh

import (
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// The entries of a node's or an instance's meta that say where it runs, the first one found counts. Spring Cloud
// Consul writes "zone" (spring.cloud.consul.discovery.instance-zone).
var (
	regionMeta = []string{"region", "topology-region"}
	zoneMeta   = []string{"zone", "topology-zone", "availability-zone"}
)

// locality is where an instance runs, as Istio writes it: region/zone. Consul's own Locality goes first, then
// the node's meta and the instance's; the datacenter is the region where nothing else is known.
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

// cleanLocality makes a region or zone one part of a locality: a slash would part it in two, and Istio sets
// the locality as a label too.
func cleanLocality(text string) string {
	clean := cleanName(text)
	if len(clean) > maxLabel {
		clean = strings.TrimRight(clean[:maxLabel], "-_.")
	}
	return clean
}
