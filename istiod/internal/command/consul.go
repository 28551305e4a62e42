package command

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/spf13/pflag"
	"istio.io/istio/pilot/pkg/bootstrap"

	"github.com/isthmus-mesh/isthmus/internal/config"
)

// consulRegistry is the name of Consul in --registries.
const consulRegistry = "Consul"

// Names of the flags of isthmus. The first two are those of Istio 1.7, the last release with a Consul registry.
const (
	registriesFlag = "registries"
	addressFlag    = "consulserverURL"
	configFlag     = "consul-config"
	stateFlag      = "consul-state-file"
)

// consulFlags are the flags for the Consul registry.
type consulFlags struct {
	address, config, state string
	// enabled reports whether Consul is one of the registries.
	enabled bool
}

func (f *consulFlags) register(set *pflag.FlagSet) {
	set.StringVar(&f.address, addressFlag, "", "URL for the Consul server: host:port, http://host:port or https://host:port. "+
		"Empty: sources[].address of --consul-config, then CONSUL_HTTP_ADDR, then 127.0.0.1:8500")
	set.StringVar(&f.config, configFlag, "", "Configuration file of isthmus: sources, selection, guard, rules. It is reloaded when it changes")
	set.StringVar(&f.state, stateFlag, "", "File for the last known good state, which istiod serves if Consul is down when it starts")
}

// complete takes Consul out of the registries, because istiod itself does not know it, and checks the flags.
func (f *consulFlags) complete(args *bootstrap.PilotArgs) error {
	registries := args.RegistryOptions.Registries
	f.enabled = slices.Contains(registries, consulRegistry)
	args.RegistryOptions.Registries = slices.DeleteFunc(registries, func(name string) bool { return name == consulRegistry })
	for name, value := range map[string]string{addressFlag: f.address, configFlag: f.config, stateFlag: f.state} {
		if value != "" && !f.enabled {
			return fmt.Errorf("--%s needs Consul in --%s", name, registriesFlag)
		}
	}
	return checkSpelling(os.Args[1:])
}

// checkSpelling returns an error for an unknown flag that is a misspelled flag of isthmus. istiod ignores unknown flags, so
// otherwise a registry or a state file would be missing without a word.
func checkSpelling(arguments []string) error {
	ours := []string{registriesFlag, addressFlag, configFlag, stateFlag}
	for _, argument := range arguments {
		name, isFlag := strings.CutPrefix(argument, "--")
		if !isFlag || name == "" {
			continue
		}
		name, _, _ = strings.Cut(name, "=")
		if slices.Contains(ours, name) {
			continue
		}
		for _, our := range ours {
			if distance(name, our) <= maxDistance {
				return fmt.Errorf("unknown flag --%s; did you mean --%s?", name, our)
			}
		}
		if strings.HasPrefix(strings.ToLower(name), "consul") {
			return fmt.Errorf("unknown flag --%s; the flags for Consul are --%s", name, strings.Join(ours, ", --"))
		}
	}
	return nil
}

// maxDistance is the number of changed letters up to which a flag counts as misspelled. The flags of istiod differ more.
const maxDistance = 3

func distance(a, b string) int {
	return levenshtein.Distance(strings.ToLower(a), strings.ToLower(b), nil)
}

// parse parses the content of the configuration file and applies the flags. Endpoints are inline by default, as for output
// xds: one change of an instance is then one event for istiod.
func (f *consulFlags) parse(content []byte) (config.Config, error) {
	c, err := config.Parse(content)
	if err != nil {
		return config.Config{}, fmt.Errorf("configuration %s: %w", f.config, err)
	}
	if f.address != "" && len(c.Sources) > 1 {
		return config.Config{}, fmt.Errorf("--%s sets the address of one source, but %s has %d; set sources[].address there",
			addressFlag, f.config, len(c.Sources))
	}
	if f.address != "" {
		c.Sources[0].Address = f.address
	}
	if f.state != "" {
		c.State.File = f.state
	}
	if c.DNS.Address != "" {
		return config.Config{}, errors.New("configuration: dns.address has no effect in istiod; use the DNS proxy of Istio, or run isthmus")
	}
	if err := c.Validate(); err != nil {
		return config.Config{}, fmt.Errorf("configuration: %w", err)
	}
	return c.ForXDS(), nil
}
