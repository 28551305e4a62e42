package mesh

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

var dnsLabelPattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

// isHost reports whether a name is a host name of lower-case DNS labels (RFC 1123).
func isHost(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if !isDNSLabel(label) {
			return false
		}
	}
	return true
}

// isDNSLabel reports whether a text is a lower-case DNS label.
func isDNSLabel(text string) bool { return len(text) <= maxLabel && dnsLabelPattern.MatchString(text) }

// validText replaces invalid UTF-8, which JSON cannot represent.
func validText(text string) string { return strings.ToValidUTF8(text, string(utf8.RuneError)) }

// clip shortens a text of a registry to a length that fits into a log line.
func clip(text string) string {
	const most = 100
	if len(text) <= most {
		return validText(text)
	}
	return strings.TrimRight(validText(text[:most]), string(utf8.RuneError)) + "…"
}
