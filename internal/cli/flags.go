package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/isthmus-mesh/isthmus/internal/config"
)

// flags are the flags of "isthmus run". They are few: the configuration file has the rest.
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
	// xdsPlaintext asks for plain text by name.
	xdsPlaintext bool
}

func (f *flags) register(set *pflag.FlagSet) {
	defaults := config.Default()
	f.registerShared(set)
	set.StringVar(&f.consulAddr, "consul-addr", "", "`ADDRESS` of a Consul agent; else CONSUL_HTTP_ADDR, else 127.0.0.1:8500; "+
		"Consul's other variables (CONSUL_HTTP_TOKEN_FILE, CONSUL_CACERT, ...) are obeyed too")
	set.StringVar(&f.adminAddr, "admin-addr", defaults.Admin.Address, "`ADDRESS` for /metrics, /healthz and /readyz")
	set.StringVar(&f.output, "output", outputKube, "where the objects go: kube, stdout (YAML of everything, then one document for each "+
		"change), dir=`PATH` (one file for each service) or xds=ADDRESS (istiod takes them from there, by MCP over xDS)")
	set.BoolVar(&f.xdsPlaintext, "xds-plaintext", false, "serve --output xds without TLS")
	set.StringVar(&f.dnsAddr, "dns-addr", "", "`ADDRESS` to answer DNS at, by UDP and TCP, like :53; empty for none")
	set.StringVar(&f.logLevel, "log-level", defaults.Log.Level, "debug, info, warn or error")
	set.StringVar(&f.logFormat, "log-format", defaults.Log.Format, "text or json")
	set.BoolVar(&f.profiles, "pprof", false, "serve /debug/pprof/ at the admin address")
}

// registerShared registers the flags by which other commands find a running isthmus.
func (f *flags) registerShared(set *pflag.FlagSet) {
	set.StringVar(&f.configFile, "config", "", "configuration `FILE`; flags go before it")
	set.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig `FILE`; else KUBECONFIG, else the pod's service account, else ~/.kube/config")
	set.StringVar(&f.namespace, "namespace", config.Default().Kubernetes.Namespace, "`NAMESPACE` of the objects")
	set.StringVar(&f.stateFile, "state-file", "", "`FILE` that holds the last known good, for other outputs than kube")
}

// load reads the configuration file, if there is one, and returns its content too.
func (f *flags) load(set *pflag.FlagSet) (config.Config, []byte, error) {
	if f.configFile == "" {
		c, err := f.parse(set, nil)
		return c, nil, err
	}
	content, err := os.ReadFile(f.configFile)
	if err != nil {
		return config.Config{}, nil, fmt.Errorf("configuration: %w", err)
	}
	c, err := f.parse(set, content)
	return c, content, err
}

// parse lays the flags over the content of a configuration file.
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
		return config.Config{}, fmt.Errorf("--consul-addr names one agent, but %s has %d sources: set their addresses there",
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

const (
	outputKube   = "kube"
	outputStdout = "stdout"
	outputDir    = "dir"
	outputXDS    = "xds"
)

// parseOutput parts an --output into its kind and its argument.
func parseOutput(text string) (kind, argument string, err error) {
	kind, argument, has := strings.Cut(text, "=")
	switch {
	case (kind == outputKube || kind == outputStdout) && !has:
		return kind, "", nil
	case (kind == outputDir || kind == outputXDS) && argument != "":
		return kind, argument, nil
	default:
		return "", "", fmt.Errorf("output %q is not one of kube, stdout, dir=PATH, xds=ADDRESS", text)
	}
}
