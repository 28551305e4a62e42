package mesh

import (
	"slices"
	"strings"
	"unicode"
)

// The parts of a location.
const (
	regionPart = "region"
	zonePart   = "zone"
)

// partWords are the last words of keys for each part.
var partWords = map[string][]string{
	regionPart: {"region"},
	zonePart:   {"zone", "az", "availabilityzone"},
}

// localityWords are the words that keys may have before the last word. Keys with other words, such as dns_zone or time_zone, are
// not locations.
var localityWords = []string{
	"aks", "alibaba", "aliyun", "attr", "availability", "aws", "az", "azure", "beta", "cloud", "compute", "consul", "discovery",
	"domain", "ec2", "eks", "external", "eureka", "failure", "gce", "gcp", "gke", "google", "host", "instance", "io", "k8s",
	"kubernetes", "locality", "meta", "metadata", "node", "nomad", "placement", "platform", "server", "service", "spring",
	"topology", "unique", "vm",
}

// localityKey reports whether a key of meta or of a tag holds a part of the location, and the number of its words:
//
//	zone, availability-zone, az          Spring Cloud, Eureka, JHipster
//	external-k8s-topology-zone           consul-k8s
//	topology.kubernetes.io/zone          Kubernetes, also failure-domain.beta.kubernetes.io/zone
//	aws_availability_zone, ec2_az,       node meta that Terraform and provisioning write
//	gcp_zone, azure-zone
//	aws_instance_availability-zone
//	platform.aws.placement.availability-zone, platform_gce_zone, platform.azure.location     attributes of Nomad's clients
//	cloud.availability_zone, cloud.region                                                    OpenTelemetry
func localityKey(key, part string) (words int, ok bool) {
	if len(key) > maxLabel*2 || !mayBeLocality(key) {
		return 0, false
	}
	all := keyWords(key)
	if n := len(all); n > 1 && all[n-1] == "name" {
		all = all[:n-1]
	}
	if len(all) == 0 {
		return 0, false
	}
	last, others := all[len(all)-1], all[:len(all)-1]
	isPart := slices.Contains(partWords[part], last) ||
		part == regionPart && last == "location" && slices.Contains(others, "azure")
	if !isPart || slices.ContainsFunc(others, func(word string) bool { return !slices.Contains(localityWords, word) }) {
		return 0, false
	}
	return len(all), true
}

// mayBeLocality is a fast test that most keys fail.
func mayBeLocality(key string) bool {
	for _, end := range []string{"zone", "az", "region", "location", "name"} {
		if at := len(key) - len(end); at >= 0 && strings.EqualFold(key[at:], end) {
			return true
		}
	}
	return false
}

// keyWords returns the words of a key in lower case. A capital letter after a small one begins a word.
func keyWords(key string) []string {
	var spaced strings.Builder
	var before rune
	for _, r := range key {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			r = ' '
		case unicode.IsUpper(r) && unicode.IsLower(before):
			spaced.WriteByte(' ')
		}
		spaced.WriteRune(r)
		before = r
	}
	return strings.Fields(strings.ToLower(spaced.String()))
}

// isLocalityKey reports whether a key holds any part of the location.
func isLocalityKey(key string) bool {
	_, region := localityKey(key, regionPart)
	_, zone := localityKey(key, zonePart)
	return region || zone
}
