package mesh

import (
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// TestLocalityPrecedence verifies which source of the region and of the zone applies.
func TestLocalityPrecedence(t *testing.T) {
	type meta = map[string]string
	both := catalog.Locality{Region: "configured", Zone: "configured-zone"}
	for name, test := range map[string]struct {
		instance   catalog.Instance
		datacenter string
		configured catalog.Locality
		want       string
	}{
		"nothing":        {want: "dc1"},
		"no datacenter":  {datacenter: "?", want: ""},
		"Consul's first": {instance: catalog.Instance{Locality: catalog.Locality{Region: "r", Zone: "z"}, NodeMeta: meta{"zone": "n"}}, configured: both, want: "r/z"},
		"parts of several places": {
			instance: catalog.Instance{Locality: catalog.Locality{Region: "r"}, NodeMeta: meta{"az": "n"}, Meta: meta{"zone": "m"}}, want: "r/n",
		},
		"node meta before meta":        {instance: catalog.Instance{NodeMeta: meta{"zone": "n"}, Meta: meta{"zone": "m", "region": "mr"}}, want: "mr/n"},
		"meta before tags":             {instance: catalog.Instance{Meta: meta{"zone": "m"}, Tags: []string{"zone=t"}}, want: "dc1/m"},
		"tags before a bare tag":       {instance: catalog.Instance{Tags: []string{"eu-west-1a", "zone=t"}}, want: "dc1/t"},
		"a bare tag":                   {instance: catalog.Instance{Tags: []string{"v1", "eu-west-1a", "eu-west-1a"}}, want: "eu-west-1/eu-west-1a"},
		"two bare tags":                {instance: catalog.Instance{Tags: []string{"eu-west-1a", "eu-west-1b"}}, want: "dc1"},
		"a bare tag and configuration": {instance: catalog.Instance{Tags: []string{"eu-west-1a"}}, configured: both, want: "eu-west-1/eu-west-1a"},
		"configuration":                {configured: both, want: "configured/configured-zone"},
		"configured zone only":         {configured: catalog.Locality{Zone: "eu-west-1a"}, want: "eu-west-1/eu-west-1a"},
		"configured region only":       {instance: catalog.Instance{Meta: meta{"zone": "rack-1"}}, configured: catalog.Locality{Region: "eu"}, want: "eu/rack-1"},
		"region of the zone before configuration": {
			instance: catalog.Instance{Meta: meta{"zone": "us-east-1b"}}, configured: catalog.Locality{Region: "eu-west-1"}, want: "us-east-1/us-east-1b",
		},
		"datacenter that is a zone":       {datacenter: "europe-west1-b", want: "europe-west1/europe-west1-b"},
		"datacenter of another region":    {datacenter: "europe-west1-b", configured: catalog.Locality{Region: "eu"}, want: "eu"},
		"datacenter of the same region":   {datacenter: "eu-west-1a", configured: catalog.Locality{Region: "eu-west-1"}, want: "eu-west-1/eu-west-1a"},
		"another zone, datacenter's zone": {datacenter: "eu-west-1a", instance: catalog.Instance{Meta: meta{"zone": "rack-1"}}, want: "eu-west-1a/rack-1"},
		"number of an Azure zone":         {instance: catalog.Instance{NodeMeta: meta{"azure_location": "westeurope", "azure_zone": "2"}}, want: "westeurope/westeurope-2"},
		"number of another zone":          {instance: catalog.Instance{NodeMeta: meta{"region": "ber", "zone": "2"}}, want: "ber/2"},
		"display name of Azure":           {instance: catalog.Instance{Meta: meta{"region": "East US 2"}}, want: "eastus2"},
		"placeholders":                    {instance: catalog.Instance{Meta: meta{"zone": "${ZONE}", "availability-zone": "@zone@", "region": "unknown"}}, want: "dc1"},
		"fewest words":                    {instance: catalog.Instance{NodeMeta: meta{"aws_availability_zone": "b", "zone": "a", "az": "c"}}, want: "dc1/c"},
		"a placeholder, another key":      {instance: catalog.Instance{NodeMeta: meta{"zone": "default", "aws_zone": "b"}}, want: "dc1/b"},
	} {
		t.Run(name, func(t *testing.T) {
			options := Options{Localities: map[string]catalog.Locality{"dc": test.configured}}
			test.instance.ID.Datacenter = test.datacenter
			if test.datacenter == "" {
				test.instance.ID.Datacenter = "dc1"
			}
			if got := options.locality("dc", test.instance); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestRegionOfZone verifies the region in the names of zones, and that names that only look similar have none.
func TestRegionOfZone(t *testing.T) {
	for zone, want := range map[string]string{
		"eu-west-1a": "eu-west-1", "us-gov-east-1b": "us-gov-east-1", "ap-southeast-2c": "ap-southeast-2", "cn-north-1a": "cn-north-1",
		"us-west-2-lax-1a": "us-west-2", "us-east-1-wl1-bos-wlz-1": "us-east-1", "mx-central-1a": "mx-central-1",
		"europe-west1-b": "europe-west1", "us-central1-f": "us-central1", "northamerica-northeast1-a": "northamerica-northeast1",
		"europe-west12-c": "europe-west12", "me-central2-a": "me-central2", "ru-central1-d": "ru-central1",
		"westeurope-1": "westeurope", "eastus2-3": "eastus2", "usgovvirginia-2": "usgovvirginia",
		"cn-hangzhou-b": "cn-hangzhou", "cn-shanghai-finance-a": "cn-shanghai-finance", "fr-par-2": "fr-par", "fsn1-dc14": "fsn1",

		"": "", "a": "", "dc1": "", "rack-1": "", "zone-1": "", "dc-rack-1a": "", "eu-west-1": "", "europe-west1": "", "westeurope": "",
		"westeurope-4": "", "my-dc1-a": "", "EU-WEST-1A": "", "use1-az1": "", "prod-eu-west-1a": "", "eu-west-1a-blue": "", "de-1a": "",
	} {
		if got := regionOfZone(zone); got != want {
			t.Errorf("%s: got %q, want %q", zone, got, want)
		}
	}
}

// TestLocalityKeys verifies the keys of the location, by the programs that write them.
func TestLocalityKeys(t *testing.T) {
	for part, keys := range map[string][]string{
		zonePart: {
			"zone", "Zone", "ZONE", "az", "availability-zone", "availability_zone", "availabilityZone", "availabilityzone", "instance-zone",
			"instanceZone", "topology-zone", "external-k8s-topology-zone", "topology.kubernetes.io/zone", "topology_kubernetes_io_zone",
			"failure-domain.beta.kubernetes.io/zone", "aws_availability_zone", "aws_az", "ec2-availability-zone", "ec2_placement_availability-zone",
			"aws_instance_availability-zone", "gcp_zone", "gce_zone", "gce-instance-zone", "azure_zone", "azure_vm_zone", "az_name",
			"platform.aws.placement.availability-zone", "platform_gce_zone", "cloud.availability_zone", "locality_zone", "nomad_zone",
		},
		regionPart: {
			"region", "Region", "topology-region", "topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region", "aws_region",
			"cloud.region", "gcp-region", "azure_location", "platform.azure.location", "external-k8s-topology-region", "awsRegion",
		},
		"": {
			"dns_zone", "time-zone", "timezone", "hosted_zone_id", "security_zone", "zones", "ozone", "baz", "location", "office_location",
			"name", "sales_region", "zone_id", "az_count", "", "_", "is_zone",
		},
	} {
		for _, key := range keys {
			for _, other := range []string{zonePart, regionPart} {
				if _, got := localityKey(key, other); got != (other == part) {
					t.Errorf("%q is a key of the %s: %t", key, other, got)
				}
			}
		}
	}
}
