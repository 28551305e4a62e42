package consul

import (
	"fmt"

	"github.com/hashicorp/consul/api"
)

// defaultTenancy is the name of the namespace and of the partition that a Consul without Enterprise features has.
const defaultTenancy = "default"

// checkEnterprise returns an error if the client is configured for a namespace or a partition, as the environment of Consul's
// command line may do. An open-source Consul refuses every request with such a parameter.
func checkEnterprise(config *api.Config) error {
	for _, setting := range []struct{ kind, variable, value string }{
		{"namespace", "CONSUL_NAMESPACE", config.Namespace}, {"partition", "CONSUL_PARTITION", config.Partition},
	} {
		if setting.value != "" && setting.value != defaultTenancy {
			return fmt.Errorf("consul: %s %q: isthmus supports no %ss of Consul Enterprise (docs/compatibility.md); unset %s",
				setting.kind, setting.value, setting.kind, setting.variable)
		}
	}
	return nil
}
