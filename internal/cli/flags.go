package cli

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/isthmus-mesh/isthmus/internal/config"
)

// flags are the flags of "isthmus run". All other settings are in the configuration file.
type flags struct {
	configFile string
	consulAddr string
	kubeconfig string
	namespace  string
	adminAddr  string
	output     string
	stateFile  string
	dnsAddr    string
	logLevel   string
	logFormat  string
	profiles   bool
	// xdsPlaintext serves xDS without TLS.
	xdsPlaintext bool
}

func (f *flags) register(set *pflag.FlagSet) {
	defaults := config.Default()
	f.registerShared(set)
	set.StringVar(&f.consulAddr, "consul-addr", "", "`ADDRESS` of a Consul agent. Default: CONSUL_HTTP_ADDR, then 127.0.0.1:8500. "+
		"The other variables of Consul (CONSUL_HTTP_TOKEN_FILE, CONSUL_CACERT, ...) apply too")
	set.StringVar(&f.adminAddr, "admin-addr", defaults.Admin.Address, "`ADDRESS` that serves /metrics, /healthz, /readyz and /status; default :8080 in a pod, else 127.0.0.1:8080")
	set.StringVar(&f.output, "output", outputKube, "output of the objects: kube, stdout (YAML of all objects, then one document for each "+
		"change), dir=`PATH` (one file for each service) or xds=ADDRESS (MCP over xDS for istiod)")
	set.BoolVar(&f.xdsPlaintext, "xds-plaintext", false, "serve --output xds without TLS")
	set.StringVar(&f.dnsAddr, "dns-addr", "", "`ADDRESS` of the DNS server, for UDP and TCP, for example :53. Empty: no DNS server")
	set.StringVar(&f.logLevel, "log-level", defaults.Log.Level, "log level: debug, info, warn or error")
	set.StringVar(&f.logFormat, "log-format", defaults.Log.Format, "log format: text or json")
	set.BoolVar(&f.profiles, "pprof", false, "serve /debug/pprof/ at the admin address")
}

// registerShared registers the flags that "isthmus run" and the commands for a running isthmus have in common.
func (f *flags) registerShared(set *pflag.FlagSet) {
	set.StringVar(&f.configFile, "config", "", "configuration `FILE`. Flags take precedence over it")
	set.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig `FILE`. Default: KUBECONFIG, then the service account of the pod, then ~/.kube/config")
	set.StringVar(&f.namespace, "namespace", config.Default().Kubernetes.Namespace, "`NAMESPACE` of the objects")
	set.StringVar(&f.stateFile, "state-file", "", "`FILE` for the last known good state, for outputs other than kube")
}

// load reads the configuration file, if there is one, and applies the flags. It also returns the content of the file.
func (f *flags) load(set *pflag.FlagSet) (config.Config, []byte, error) {
	if f.configFile == "" {
		c, err := f.parse(set, nil)
		return c, nil, err
	}
	content, err := config.Read(f.configFile)
	if err != nil {
		return config.Config{}, nil, err
	}
	c, err := f.parse(set, content)
	return c, content, err
}

// parse parses the content of a configuration file, applies the flags and validates the result.
func (f *flags) parse(set *pflag.FlagSet, content []byte) (config.Config, error) {
	c, err := config.Parse(content)
	if err != nil {
		return config.Config{}, fmt.Errorf("configuration %s: %w", f.configFile, err)
	}
	for flag, target := range map[string]*string{
		"consul-addr": &c.Sources[0].Address,
		"kubeconfig":  &c.Kubernetes.Kubeconfig,
		"namespace":   &c.Kubernetes.Namespace,
		"state-file":  &c.State.File,
		"admin-addr":  &c.Admin.Address,
		"dns-addr":    &c.DNS.Address,
		"log-level":   &c.Log.Level,
		"log-format":  &c.Log.Format,
	} {
		if set.Changed(flag) {
			*target, _ = set.GetString(flag)
		}
	}
	if set.Changed("consul-addr") && len(c.Sources) > 1 {
		return config.Config{}, fmt.Errorf("--consul-addr sets the address of one source, but %s has %d; set sources[].address there",
			f.configFile, len(c.Sources))
	}
	if f.profiles {
		c.Admin.Profiles = true
	}
	if err := c.Validate(); err != nil {
		return config.Config{}, fmt.Errorf("configuration: %w", err)
	}
	if f.servesXDS() {
		c = c.ForXDS()
	}
	return c, nil
}
