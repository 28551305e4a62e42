package guard

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// maxNodes is the number of nodes that a hold names at most.
const maxNodes = 3

// maxNodeName is the number of bytes of a node's name that a hold has at most.
const maxNodeName = 128

// heldNodes returns the nodes of all held instances, sorted. It returns nil if they are many, or if no other node has an
// instance that serves: the cause then isn't the loss of a node.
func (g *Guard) heldNodes() []string {
	nodes := map[string]bool{}
	for _, t := range g.sets {
		if len(t.nodes) > maxNodes || t.nodes[""] > 0 {
			return nil
		}
		for node := range t.nodes {
			nodes[node] = true
		}
	}
	if len(nodes) == 0 || len(nodes) > maxNodes || !g.servesElsewhere(nodes) {
		return nil
	}
	var shown []string
	for _, node := range slices.Sorted(maps.Keys(nodes)) {
		shown = append(shown, shownNode(node))
	}
	return shown
}

// shownNode returns the name of a node for people. Names come from the registry, so they may be long or not printable.
func shownNode(node string) string {
	if len(node) > maxNodeName {
		node = node[:maxNodeName] + "..."
	}
	if strings.ContainsFunc(node, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) {
		return strconv.QuoteToASCII(node)
	}
	return node
}

// servesElsewhere reports whether an instance on another node serves. It remembers the service that has one, and that there
// is none until an instance arrives, so that a removal of all services doesn't search all of them for each report.
func (g *Guard) servesElsewhere(nodes map[string]bool) bool {
	elsewhere := func(s *service) bool {
		return s != nil && slices.ContainsFunc(s.reported.Instances, func(i catalog.Instance) bool {
			return !nodes[i.ID.Node] && g.options.Serving(i)
		})
	}
	if elsewhere(g.services[g.elsewhere]) {
		return true
	}
	if g.nowhere {
		return false
	}
	for name, s := range g.services {
		if elsewhere(s) {
			g.elsewhere = name
			return true
		}
	}
	g.nowhere = true
	return false
}
