// Command isthmus-istiod is istiod with Consul as a service registry.
package main

import (
	"os"

	// automemlimit sets GOMEMLIMIT to 90 % of the memory limit of the container, as in Istio's own program.
	_ "github.com/KimMachineGun/automemlimit"
	"istio.io/istio/pkg/log"

	"github.com/isthmus-mesh/isthmus/istiod/internal/command"
)

func main() {
	log.EnableKlogWithCobra()
	if err := command.New().Execute(); err != nil {
		log.Error(err)
		os.Exit(1)
	}
}
