package consul

import (
	"os"
	"regexp"
	"testing"
)

// TestAdviceIsOnThePage holds that each reason has advice, and that docs/troubleshoot.md gives the same.
func TestAdviceIsOnThePage(t *testing.T) {
	find := func(file, pattern string) [][]string {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return regexp.MustCompile(pattern).FindAllStringSubmatch(string(content), -1)
	}
	page := map[reason]string{}
	for _, row := range find("../../docs/troubleshoot.md", "(?m)^\\| `([a-z_]+)` \\| .+ \\| (.+) \\|$") {
		page[reason(row[1])] = row[2]
	}
	reasons := map[reason]bool{}
	for _, constant := range find("reason.go", `(?m)^\t\w+ +reason = "(\w+)"$`) {
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
