package catalog

import "strings"

// Match tells whether a name fits a glob: * stands for any characters, also for none, ? for one, and everything
// else for itself. Unlike path.Match no character is special to *: names in a registry may hold slashes.
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
		case star >= 0: // the last star takes one character more
			resume++
			at, i = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(string(pattern[at:]), "*") == ""
}

// MatchAny tells whether a name fits one of several globs.
func MatchAny(globs []string, name string) bool {
	for _, glob := range globs {
		if Match(glob, name) {
			return true
		}
	}
	return false
}
