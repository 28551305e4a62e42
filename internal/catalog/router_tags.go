package catalog

import "strings"

// FabioPrefix is the beginning of a tag that configures a route of fabio, in lower case.
const FabioPrefix = "urlprefix-"

// FabioProtocols returns the protocols that a tag of fabio names: urlprefix-/path proto=https. The tag is in lower case.
func FabioProtocols(tag string) (names []string) {
	for _, option := range strings.Fields(tag) {
		if name, found := strings.CutPrefix(option, "proto="); found {
			names = append(names, name)
		}
	}
	return names
}
