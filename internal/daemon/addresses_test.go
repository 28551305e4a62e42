package daemon

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/config"
)

// TestRangesOfIstiod verifies that a range which overlaps a range of istiod is accepted with a warning.
func TestRangesOfIstiod(t *testing.T) {
	for content, want := range map[string]string{
		"":                                      "",
		"virtualAddresses: {ipv4: 240.0.0.0/8}": "address=240.240.0.0/16",
		"virtualAddresses: {ipv4: 240.240.128.0/20}":               "address=240.240.0.0/16",
		"virtualAddresses: {ipv4: 10.0.0.0/16, ipv6: '2001::/16'}": "address=2001:2::/48",
	} {
		c, err := config.Parse([]byte(content))
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if _, err := newAddresses(c, slog.New(slog.NewTextHandler(&out, nil))); err != nil {
			t.Fatal(err)
		}
		if (want == "") != (out.Len() == 0) || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %q, want %q", content, out.String(), want)
		}
	}
}
