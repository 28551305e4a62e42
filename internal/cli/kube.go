package cli

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/config"
	"github.com/isthmus-mesh/isthmus/internal/kube"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// kubeConfig returns the client configuration for the API server. If there is none, the error suggests the alternative.
func kubeConfig(c config.Config, alternative string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.Kubernetes.Kubeconfig
	restConfig, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, fmt.Errorf("no kubeconfig and no service account of a pod found; set --kubeconfig, or %s", alternative)
	}
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	rest.AddUserAgent(restConfig, "isthmus/"+version)
	return restConfig, nil
}

// holdsConfigMap returns the name of the ConfigMap in which held removals are published.
func holdsConfigMap(c config.Config) client.ObjectKey {
	return client.ObjectKey{Namespace: c.Namespaces()[0], Name: leaseName(c.Sources)}
}

// newKubeOutput creates the output that writes to the Kubernetes API.
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

// podNamespace is the file that holds the namespace of the pod.
const podNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// election returns the leader election; nil if it is disabled.
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
		// Pods with host networking on one node have the same host name and may have the same process ID.
		Identity:      fmt.Sprintf("%s_%s", host, uuid.NewUUID()),
		LeaseDuration: e.LeaseDuration.Std(), RenewDeadline: e.RenewDeadline.Std(), RetryPeriod: e.RetryPeriod.Std(),
	}, nil
}

// leaseName returns the name of the Lease. Replicas share it; an instance with other sources has another name.
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
