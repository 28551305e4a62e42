package catalog

import (
	"regexp"
	"strings"
	"testing"
)

// TestMatch verifies the globs of the configuration.
func TestMatch(t *testing.T) {
	for _, c := range []struct {
		glob, name string
		want       bool
	}{
		{"web", "web", true},
		{"web", "Web", false},
		{"web", "web2", false},
		{"*", "", true},
		{"*", "x/y", true},
		{"web-*", "web-", true},
		{"web-*", "web", false},
		{"*-canary", "a-canary-canary", true},
		{"a*b*c", "a-b-b-c", true},
		{"a*b*c", "a-c-b", false},
		{"?", "学", true},
		{"?", "", false},
		{"web-?", "web-10", false},
		{"[ab]", "a", false},
		{"[ab]", "[ab]", true},
		{"**", "x", true},
		{"*", "\xff", true},
	} {
		if got := Match(c.glob, c.name); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.glob, c.name, got)
		}
	}
	if MatchAny(nil, "web") || !MatchAny([]string{"api", "w*"}, "web") {
		t.Error("MatchAny")
	}
	if MatchService([]string{"pay-*"}, "web") || !MatchService([]string{"web", "Pay-*"}, "PAY-EU") {
		t.Error("MatchService")
	}
}

// FuzzMatch compares Match with an equivalent regular expression.
func FuzzMatch(f *testing.F) {
	f.Add("a*b?c", "a-b-b.c")
	f.Add("***", "")
	f.Fuzz(func(t *testing.T, glob, name string) {
		glob, name = strings.ToValidUTF8(glob, ""), strings.ToValidUTF8(name, "")
		expression := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(glob))
		want, err := regexp.Compile(`^(?s:` + expression + `)$`)
		if err != nil {
			t.Skip(err)
		}
		if got := Match(glob, name); got != want.MatchString(name) {
			t.Errorf("Match(%q, %q) = %v", glob, name, got)
		}
	})
}
