package mesh

import (
	"slices"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

const (
	// bareTagPrefix is the prefix of the label of a bare tag: the tag master becomes the label tag.master=true.
	bareTagPrefix = "tag."
	// maxBareTags is the maximum number of bare tags of an instance that become labels.
	maxBareTags = 16
)

// bareTags returns the first bare tags of an instance that are valid in a label as they are, without duplicates.
func bareTags(instance catalog.Instance) []string {
	var tags []string
	for _, tag := range inspectedTags(instance) {
		if len(tags) == maxBareTags {
			break
		}
		if strings.ContainsAny(tag, "=|") || isRouterTag(tag) || cleanName(tag) != tag || !fitsName(bareTagPrefix+tag) || slices.Contains(tags, tag) {
			continue
		}
		tags = append(tags, tag)
	}
	return tags
}

// routerPrefixes are the prefixes of tags that configure a router in front of the service.
var routerPrefixes = []string{"traefik.", "urlprefix-", "caddy.", "haproxy.", "fabio."}

// isRouterTag reports whether a tag configures a router.
func isRouterTag(tag string) bool {
	return slices.ContainsFunc(routerPrefixes, func(prefix string) bool {
		return len(tag) >= len(prefix) && strings.EqualFold(tag[:len(prefix)], prefix)
	})
}

// isPlaceholder reports whether a value contains a variable that a build or a deployment did not replace: ${NAME},
// {{ NAME }}, @NAME@.
func isPlaceholder(value string) bool {
	return strings.Contains(value, "${") || strings.Contains(value, "{{") ||
		len(value) > 2 && strings.HasPrefix(value, "@") && strings.HasSuffix(value, "@")
}
