package consul

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestAdviceIsOnThePage holds that each reason has advice, and that docs/troubleshoot.md gives the same.
func TestAdviceIsOnThePage(t *testing.T) {
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
	page := map[reason]string{}
	for _, row := range find("../../docs/troubleshoot.md", "\n## Failing Consul queries\n", "(?m)^\\| `([a-z_]+)` \\| .+ \\| (.+) \\|$") {
		page[reason(row[1])] = row[2]
	}
	reasons := map[reason]bool{}
	for _, constant := range find("reason.go", "", `(?m)^\t\w+ +reason = "(\w+)"$`) {
		reasons[reason(constant[1])] = true
	}
	if len(reasons) != len(advice) || len(page) != len(advice) {
		t.Errorf("%d reasons, %d with advice, %d on the page", len(reasons), len(advice), len(page))
	}
	for r, do := range advice {
		if !reasons[r] || page[r] != do {
			t.Errorf("the page says of %s\n  %q, the code\n  %q", r, page[r], do)
		}
	}
}
