package command

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"istio.io/istio/pilot/pkg/bootstrap"
	"istio.io/istio/pilot/pkg/features"
	"istio.io/istio/pilot/pkg/serviceregistry/provider"
	"istio.io/istio/pkg/config/constants"
	"istio.io/istio/pkg/config/validation"
	"istio.io/istio/pkg/ctrlz"
)

// newArgs returns the arguments of istiod with the defaults of "pilot-discovery discovery".
func newArgs() *bootstrap.PilotArgs {
	return bootstrap.NewPilotArgs(func(args *bootstrap.PilotArgs) {
		args.CtrlZOptions = ctrlz.DefaultOptions()
		args.InjectionOptions = bootstrap.InjectionOptions{InjectionDirectory: "./var/lib/istio/inject"}
	})
}

// registerArgs registers the flags of "pilot-discovery discovery". Istio does not export the variable that its own flags
// set, so they are registered again, on args. TestStockFlags verifies that names, defaults and texts are those of Istio.
func registerArgs(set *pflag.FlagSet, args *bootstrap.PilotArgs) {
	registerRegistryArgs(set, args)
	registerServerArgs(set, &args.ServerOptions)
	set.StringVar(&args.MeshConfigFile, "meshConfig", "./etc/istio/config/mesh",
		"File name for Istio mesh configuration. If not specified, a default mesh will be used.")
	set.StringVar(&args.NetworksConfigFile, "networksConfig", "./etc/istio/config/meshNetworks",
		"File name for Istio mesh networks configuration. If not specified, a default mesh networks will be used.")
	set.StringVarP(&args.Namespace, "namespace", "n", bootstrap.PodNamespace,
		"Select a namespace where the controller resides. If not set, uses ${POD_NAMESPACE} environment variable")
	set.StringVar(&args.CniNamespace, "cniNamespace", bootstrap.PodNamespace,
		"Select a namespace where the istio-cni resides. If not set, uses ${POD_NAMESPACE} environment variable")
	set.DurationVar(&args.ShutdownDuration, "shutdownDuration", 10*time.Second,
		"Duration the discovery server needs to terminate gracefully")
}

func registerRegistryArgs(set *pflag.FlagSet, args *bootstrap.PilotArgs) {
	options := &args.RegistryOptions
	set.StringSliceVar(&options.Registries, registriesFlag, []string{string(provider.Kubernetes)},
		fmt.Sprintf("Comma separated list of platform service registries to read from (choose one or more from {%s, %s, %s})",
			provider.Kubernetes, provider.Mock, consulRegistry))
	set.StringVar(&options.ClusterRegistriesNamespace, "clusterRegistriesNamespace", options.ClusterRegistriesNamespace,
		"Namespace for ConfigMap which stores clusters configs")
	set.StringVar(&options.KubeConfig, "kubeconfig", "", "Use a Kubernetes configuration file instead of in-cluster configuration")
	set.StringVar(&options.FileDir, "configDir", "", "Directory to watch for updates to config yaml files. "+
		"If specified, the files will be used as the source of config, rather than a CRD client.")
	set.StringVar(&options.KubeOptions.DomainSuffix, "domain", constants.DefaultClusterLocalDomain, "DNS domain suffix")
	set.StringVar((*string)(&options.KubeOptions.ClusterID), "clusterID", features.ClusterName,
		"The ID of the cluster that this Istiod instance resides")
	set.StringToStringVar(&options.KubeOptions.ClusterAliases, "clusterAliases", map[string]string{},
		"Alias names for clusters. Example: alias1=cluster1,alias2=cluster2")
	set.Float32Var(&options.KubeOptions.KubernetesAPIQPS, "kubernetesApiQPS", 80.0,
		"Maximum QPS when communicating with the kubernetes API")
	set.IntVar(&options.KubeOptions.KubernetesAPIBurst, "kubernetesApiBurst", 160,
		"Maximum burst for throttle when communicating with the kubernetes API")
}

func registerServerArgs(set *pflag.FlagSet, options *bootstrap.DiscoveryServerOptions) {
	set.StringVar(&options.HTTPAddr, "httpAddr", ":8080", "Discovery service HTTP address")
	set.StringVar(&options.HTTPSAddr, "httpsAddr", ":15017", "Injection and validation service HTTPS address")
	set.StringVar(&options.GRPCAddr, "grpcAddr", ":15010", "Discovery service gRPC address")
	set.StringVar(&options.SecureGRPCAddr, "secureGRPCAddr", ":15012", "Discovery service secured gRPC address")
	set.StringVar(&options.MonitoringAddr, "monitoringAddr", ":15014",
		"HTTP address to use for pilot's self-monitoring information")
	set.BoolVar(&options.EnableProfiling, "profile", true, "Enable profiling via web interface host:port/debug/pprof")
	set.StringVar(&options.TLSOptions.CaCertFile, "caCertFile", "", "File containing the x509 Server CA Certificate")
	set.StringVar(&options.TLSOptions.CertFile, "tlsCertFile", "", "File containing the x509 Server Certificate")
	set.StringVar(&options.TLSOptions.KeyFile, "tlsKeyFile", "", "File containing the x509 private key matching --tlsCertFile")
	set.StringSliceVar(&options.TLSOptions.TLSCipherSuites, "tls-cipher-suites", nil,
		"Comma-separated list of cipher suites for istiod TLS server. "+
			"If omitted, the default Go cipher suites will be used. "+
			"If 'tls-min-version' is set to '1.3', these cipher suites will be ignored.\n"+
			"Preferred values: "+namesOf(tls.CipherSuites())+". \n"+
			"Insecure values: "+namesOf(tls.InsecureCipherSuites())+".")
	set.StringVar(&options.TLSOptions.TLSMinVersion, "tls-min-version", bootstrap.TLSMinVersion1_2,
		"Minimum TLS version for the istiod TLS server. "+
			fmt.Sprintf("Only %s and %s are supported.", bootstrap.TLSMinVersion1_2, bootstrap.TLSMinVersion1_3))
}

func namesOf(suites []*tls.CipherSuite) string {
	var names []string
	for _, suite := range suites {
		names = append(names, suite.Name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// completeArgs validates and completes the arguments as "pilot-discovery discovery" does.
func completeArgs(args *bootstrap.PilotArgs) error {
	if err := validation.ValidateMaxServerConnectionAge(args.KeepaliveOptions.MaxServerConnectionAge); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, cluster := range args.RegistryOptions.KubeOptions.ClusterAliases {
		if seen[cluster] {
			return errors.New("more than one alias for cluster " + cluster)
		}
		seen[cluster] = true
	}
	return args.Complete()
}
