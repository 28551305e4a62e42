package mesh_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReasonsAreDocumented verifies that docs/troubleshoot.md lists all reasons and no others.
func TestReasonsAreDocumented(t *testing.T) {
	read := func(file string) string {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	code, page := map[string]bool{}, map[string]bool{}
	for _, constant := range regexp.MustCompile(`(?m)^\t\w+ Reason = "(\w+)"$`).FindAllStringSubmatch(read("finding.go"), -1) {
		code[constant[1]] = true
	}
	sections := strings.Split(read("../../docs/troubleshoot.md"), "\n## ")
	at := slices.IndexFunc(sections, func(section string) bool { return strings.Contains(section, "\n| `no_address` |") })
	if at < 0 {
		t.Fatal("docs/troubleshoot.md has no table of reasons")
	}
	section := sections[at]
	for _, row := range regexp.MustCompile("(?m)^\\| (`[a-z_`, ]+`) \\| .+ \\| .+ \\|$").FindAllStringSubmatch(section, -1) {
		for _, reason := range strings.Split(row[1], ", ") {
			page[strings.Trim(reason, "`")] = true
		}
	}
	if diff := cmp.Diff(code, page); diff != "" || len(code) == 0 {
		t.Errorf("reasons (-code +page):\n%s", diff)
	}
}
