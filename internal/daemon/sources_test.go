package daemon

import (
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/config"
)

// TestEnvironmentOfSeveralSources verifies that one of several sources uses Consul's environment variables only if it has no address
// of its own. Otherwise the token would be sent to another Consul.
func TestEnvironmentOfSeveralSources(t *testing.T) {
	t.Setenv("CONSUL_HTTP_ADDR", "https://home:8501")
	t.Setenv("CONSUL_HTTP_TOKEN", "of-home")
	own := config.Source{Name: "away", Address: "https://away:8501"}
	for name, test := range map[string]struct {
		source                 config.Source
		several                bool
		scheme, address, token string
	}{
		"alone":          {own, false, "https", "away:8501", "of-home"},
		"one of several": {own, true, "https", "away:8501", ""},
		"by environment": {config.Source{Name: "home"}, true, "https", "home:8501", "of-home"},
		"plain":          {config.Source{Address: "plain:8500"}, true, "http", "plain:8500", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := consulConfig(test.source, test.several)
			if got.Scheme != test.scheme || got.Address != test.address || got.Token != test.token {
				t.Errorf("%s %s, token %q", got.Scheme, got.Address, got.Token)
			}
		})
	}
}
