package daemon

import (
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/config"
)

// TestAdminAddress verifies that the admin server accepts other machines only in a pod or if the configuration says so.
func TestAdminAddress(t *testing.T) {
	for _, test := range []struct {
		configured, host, want string
	}{
		{"", "", "127.0.0.1:8080"},
		{"", "10.96.0.1", ":8080"},
		{"127.0.0.1:9000", "10.96.0.1", "127.0.0.1:9000"},
		{":9000", "", ":9000"},
	} {
		got := adminAddress(config.Admin{Address: test.configured}, func(name string) string {
			return map[string]string{"KUBERNETES_SERVICE_HOST": test.host}[name]
		})
		if got != test.want {
			t.Errorf("%q with KUBERNETES_SERVICE_HOST=%q: %s, want %s", test.configured, test.host, got, test.want)
		}
	}
}
