package detect

import (
	"slices"
	"testing"
)

// TestCompareNamesEachServiceOnce verifies that a response with several changes of a service names the service once. A
// service that is marked twice can be read twice.
func TestCompareNamesEachServiceOnce(t *testing.T) {
	w := &changeWatch[string, registration]{
		last: map[string]registration{"web-1": {"web", 1}, "web-2": {"web", 1}, "moved": {"old", 1}, "same": {"same", 1}},
		services: func(_ string, before, after registration) []string {
			return []string{before.service, after.service}
		},
	}
	got := w.compare(map[string]registration{
		"web-1": {"web", 2}, "web-2": {"web", 2}, "web-3": {"web", 2}, "moved": {"new", 2}, "same": {"same", 1},
	})
	if want := []string{"new", "old", "web"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
