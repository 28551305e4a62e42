package failure

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestHintsAreDocumented verifies that each reason has a hint and that docs/troubleshoot.md gives the same hint.
func TestHintsAreDocumented(t *testing.T) {
	find := func(file, section, pattern string) [][]string {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, text, found := strings.Cut(string(content), section)
		if !found {
			t.Fatalf("%s has no %q", file, section)
		}
		text, _, _ = strings.Cut(text, "\n## ")
		return regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1)
	}
	page := map[Reason]string{}
	for _, row := range find("../../../docs/troubleshoot.md", "\n## Failing Consul queries\n", "(?m)^\\| `([a-z_]+)` \\| .+ \\| (.+) \\|$") {
		page[Reason(row[1])] = row[2]
	}
	reasons := map[Reason]bool{}
	for _, constant := range find("reason.go", "", `(?m)^\t\w+ +Reason = "(\w+)"$`) {
		reasons[Reason(constant[1])] = true
	}
	if len(reasons) != len(hints) || len(page) != len(hints) {
		t.Errorf("%d reasons, %d hints, %d rows in the page", len(reasons), len(hints), len(page))
	}
	for r, hint := range hints {
		if !reasons[r] || page[r] != hint {
			t.Errorf("hint of %s: the page has\n  %q, the code has\n  %q", r, page[r], hint)
		}
	}
}
