package detect

import "testing"

// TestValidName verifies which names reach Consul in the path of a request.
func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"web": true, "x/y": true, "中文": true, "a b": true, "*": true, "a.b": true, "...": true, "x/": true, "?": true,
		"with spaces ": true, "..": false, ".": false, "tab\t": false, "zero\x00": false, "no-break\u00a0": false, "a/../b": false, "a//b": false, "/a": false, "x/.": false,
	} {
		if got := ValidName(name); got != want {
			t.Errorf("ValidName(%q) = %v", name, got)
		}
	}
}
