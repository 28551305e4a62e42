package mesh_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReasonsAreOnThePage holds that docs/troubleshoot.md says of each reason what mends it, and of no other.
func TestReasonsAreOnThePage(t *testing.T) {
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
	_, section, _ := strings.Cut(read("../../docs/troubleshoot.md"), "\n## What is left out\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, row := range regexp.MustCompile("(?m)^\\| (`[a-z_`, ]+`) \\| .+ \\| .+ \\|$").FindAllStringSubmatch(section, -1) {
		for _, reason := range strings.Split(row[1], ", ") {
			page[strings.Trim(reason, "`")] = true
		}
	}
	if diff := cmp.Diff(code, page); diff != "" || len(code) == 0 {
		t.Errorf("reasons (-code +page):\n%s", diff)
	}
}
