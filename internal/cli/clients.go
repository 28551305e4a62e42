package cli

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/consul/api"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/config"
	"github.com/isthmus-mesh/isthmus/internal/consul"
	"github.com/isthmus-mesh/isthmus/internal/kube"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// consulConfig lays a source's configuration over Consul's own environment variables. Of several sources, those with
// an address of their own don't take anything from there: the token would go to another Consul than it is for.
func consulConfig(c config.Source, several bool) *api.Config {
	client := api.DefaultConfig()
	if several && c.Address != "" {
		client = &api.Config{Scheme: "http"}
	}
	if c.Address != "" {
		client.Address = c.Address
	}
	if scheme, rest, ok := strings.Cut(client.Address, "://"); ok && scheme != "unix" {
		client.Scheme, client.Address = scheme, rest
	}
	client.TokenFile = cmp.Or(c.TokenFile, client.TokenFile)
	client.TLSConfig.CAFile = cmp.Or(c.TLS.CAFile, client.TLSConfig.CAFile)
	client.TLSConfig.CertFile = cmp.Or(c.TLS.CertFile, client.TLSConfig.CertFile)
	client.TLSConfig.KeyFile = cmp.Or(c.TLS.KeyFile, client.TLSConfig.KeyFile)
	client.TLSConfig.Address = cmp.Or(c.TLS.ServerName, client.TLSConfig.Address)
	return client
}

func selection(c config.Services) consul.Selection {
	return consul.Selection{Include: c.Include, Exclude: c.Exclude, WithTags: c.WithTags, WithoutTags: c.WithoutTags}
}

// kubeConfig says how to reach the API server. Otherwise is what else the user could do.
func kubeConfig(c config.Config, otherwise string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.Kubernetes.Kubeconfig
	restConfig, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, fmt.Errorf("no kubeconfig and no service account of a pod: name a file with --kubeconfig, or %s", otherwise)
	}
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	rest.AddUserAgent(restConfig, "isthmus/"+version)
	return restConfig, nil
}

// holdsConfigMap names the ConfigMap that says which removals are held.
func holdsConfigMap(c config.Config) client.ObjectKey {
	return client.ObjectKey{Namespace: c.Namespaces()[0], Name: leaseName(c.Sources)}
}

func newKubeOutput(c config.Config, placement mesh.Placement, log *slog.Logger, metrics *kube.Metrics) (*kube.Output, error) {
	restConfig, err := kubeConfig(c, "choose --output stdout")
	if err != nil {
		return nil, err
	}
	election, err := election(c)
	if err != nil {
		return nil, err
	}
	addresses, err := c.AddressOptions()
	if err != nil {
		return nil, err
	}
	return kube.New(kube.Options{
		REST:             restConfig,
		Placement:        placement,
		Sources:          sourceNames(c.Sources),
		DestinationRules: len(c.Mesh.TLSOrigination) > 0,
		WritesPerSecond:  c.Kubernetes.WritesPerSecond,
		Writers:          c.Kubernetes.Writers,
		Grace:            c.Kubernetes.RemovalGrace.Std(),
		Addresses:        addresses,
		Holds:            holdsConfigMap(c),
		Election:         election,
		Log:              log,
		Metrics:          metrics,
	})
}

// podNamespace is where a pod finds the name of its own namespace.
const podNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

func election(c config.Config) (*kube.Election, error) {
	e := c.Kubernetes.LeaderElection
	if !e.Enabled {
		return nil, nil
	}
	namespace := e.Namespace
	if content, err := os.ReadFile(filepath.Clean(podNamespace)); namespace == "" && err == nil {
		namespace = strings.TrimSpace(string(content))
	}
	if namespace == "" {
		namespace = c.Namespaces()[0]
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("leader election: %w", err)
	}
	return &kube.Election{
		Namespace: namespace, Name: leaseName(c.Sources),
		// On a host's network, the pods of one node have the same host name and process ID.
		Identity:      fmt.Sprintf("%s_%s", host, uuid.NewUUID()),
		LeaseDuration: e.LeaseDuration.Std(), RenewDeadline: e.RenewDeadline.Std(), RetryPeriod: e.RetryPeriod.Std(),
	}, nil
}

// leaseName is the same for replicas, and another one for an isthmus that reads other registries.
func leaseName(sources []config.Source) string {
	return "isthmus-" + strings.Join(sourceNames(sources), ".")
}

func sourceNames(sources []config.Source) []string {
	names := make([]string, len(sources))
	for i, source := range sources {
		names[i] = source.Name
	}
	return names
}
