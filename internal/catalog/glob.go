package catalog

import "strings"

// Match reports whether a name matches a glob: * matches any characters, also none, ? matches one character, and any other
// character matches itself. Unlike in path.Match, * also matches slashes, because names in a registry may contain them.
func Match(glob, name string) bool {
	pattern, text := []rune(glob), []rune(name)
	star, resume := -1, 0
	at := 0
	for i := 0; i < len(text); {
		switch {
		case at < len(pattern) && pattern[at] == '*':
			star, resume = at, i
			at++
		case at < len(pattern) && (pattern[at] == '?' || pattern[at] == text[i]):
			at++
			i++
		case star >= 0: // extend the match of the last star by one character
			resume++
			at, i = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(string(pattern[at:]), "*") == ""
}

// MatchService reports whether the name of a service matches at least one glob. As in Consul, case is ignored.
func MatchService(globs []string, name string) bool {
	name = strings.ToLower(name)
	for _, glob := range globs {
		if Match(strings.ToLower(glob), name) {
			return true
		}
	}
	return false
}

// MatchAny reports whether a name matches at least one glob.
func MatchAny(globs []string, name string) bool {
	for _, glob := range globs {
		if Match(glob, name) {
			return true
		}
	}
	return false
}
