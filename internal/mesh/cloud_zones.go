package mesh

import (
	"regexp"
	"slices"
	"strings"
)

// cloudZones are the forms of zones whose name begins with the name of their region, the first group. Each form is so special
// that names of other zones, such as rack-1, do not have it.
var cloudZones = []*regexp.Regexp{
	// Amazon: eu-west-1a, us-gov-east-1b, us-west-2-lax-1a, us-east-1-wl1-bos-wlz-1. Alibaba: ap-southeast-1a.
	regexp.MustCompile(`^((?:af|ap|ca|cn|eu|eusc|il|me|mx|sa|us)(?:-[a-z]+){1,2}-[1-9])(?:[a-z]|-[a-z]{3}-[1-9][a-z]|-wl[1-9](?:-[a-z]{3}){1,2}-wlz-?[1-9]?)$`),
	// Google: europe-west1-b. Yandex: ru-central1-a.
	regexp.MustCompile(`^((?:africa|asia|australia|europe|me|northamerica|ru|southamerica|us)-[a-z]+[1-9][0-9]?)-[a-z]$`),
	// Alibaba: cn-hangzhou-b.
	regexp.MustCompile(`^(cn-[a-z]{4,}(?:-[a-z]+)?)-[a-z]$`),
	// Scaleway: fr-par-1.
	regexp.MustCompile(`^(fr-par|nl-ams|pl-waw|it-mil)-[1-9]$`),
	// Hetzner: fsn1-dc14.
	regexp.MustCompile(`^((?:fsn|nbg|hel|ash|hil|sin)1)-dc[1-9][0-9]?$`),
}

// zonePrefixes are the first words of the names of zones in cloudZones. Most names fail this fast test.
var zonePrefixes = prefixSet(
	"af ap ca cn eu eusc il me mx sa us africa asia australia europe northamerica ru southamerica fr nl pl it " +
		"fsn1 nbg1 hel1 ash1 hil1 sin1",
)

func prefixSet(words string) map[string]bool {
	set := map[string]bool{}
	for _, word := range strings.Fields(words) {
		set[word] = true
	}
	return set
}

// regionOfZone returns the region in the name of a cloud's zone; empty if the name has another form.
func regionOfZone(zone string) string {
	if at := strings.LastIndexByte(zone, '-'); at > 0 && slices.Contains(azureZones, zone[at+1:]) {
		if _, found := slices.BinarySearch(azureRegions, zone[:at]); found {
			return zone[:at]
		}
	}
	if first, _, found := strings.Cut(zone, "-"); !found || !zonePrefixes[first] {
		return ""
	}
	for _, form := range cloudZones {
		if match := form.FindStringSubmatch(zone); match != nil {
			return match[1]
		}
	}
	return ""
}

// azureZones are the zones of a region of Azure.
var azureZones = []string{"1", "2", "3"}

// azureRegion returns the name of a region of Azure, and whether it is one. Its display name is accepted: West Europe, which is
// West-Europe as a part of a locality.
func azureRegion(text string) (string, bool) {
	name := text
	if lower := strings.ToLower(text); lower != text {
		name = strings.ReplaceAll(lower, "-", "")
	}
	_, found := slices.BinarySearch(azureRegions, name)
	return name, found
}

// azureRegions are the regions of Azure, sorted. The zones westeurope-1 and rack-1 have the same form.
var azureRegions = []string{
	"australiacentral", "australiacentral2", "australiaeast", "australiasoutheast", "austriaeast", "belgiumcentral", "brazilsouth",
	"brazilsoutheast", "canadacentral", "canadaeast", "centralindia", "centralus", "chilecentral", "chinaeast", "chinaeast2",
	"chinaeast3", "chinanorth", "chinanorth2", "chinanorth3", "denmarkeast", "eastasia", "eastus", "eastus2", "eastus3",
	"francecentral", "francesouth", "germanynorth", "germanywestcentral", "indonesiacentral", "israelcentral", "italynorth",
	"japaneast", "japanwest", "jioindiacentral", "jioindiawest", "koreacentral", "koreasouth", "malaysiawest", "mexicocentral",
	"newzealandnorth", "northcentralus", "northeurope", "norwayeast", "norwaywest", "polandcentral", "qatarcentral",
	"southafricanorth", "southafricawest", "southcentralus", "southeastasia", "southindia", "spaincentral", "swedencentral",
	"swedensouth", "switzerlandnorth", "switzerlandwest", "uaecentral", "uaenorth", "uksouth", "ukwest", "usdodcentral", "usdodeast",
	"usgovarizona", "usgovtexas", "usgovvirginia", "westcentralus", "westeurope", "westindia", "westus", "westus2", "westus3",
}
