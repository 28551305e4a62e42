package cli

import (
	"cmp"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-logr/logr"
	"github.com/hashicorp/consul/api"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/isthmus-mesh/isthmus/internal/config"
	"github.com/isthmus-mesh/isthmus/internal/kube"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// newLog makes the log. The libraries' own logs are noise to an operator: they show at level debug only.
func newLog(c config.Log, to io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // checked with the configuration
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(to, options)
	if c.Format == "json" {
		handler = slog.NewJSONHandler(to, options)
	}
	// net/http reports a 429 that Consul sends over an idle connection so.
	stdlog.SetFlags(0)
	stdlog.SetOutput(slog.NewLogLogger(handler, slog.LevelDebug).Writer())
	libraries := logr.Discard()
	if level <= slog.LevelDebug {
		libraries = logr.FromSlogHandler(handler)
	}
	klog.SetLogger(libraries)
	ctrllog.SetLogger(libraries)
	return slog.New(handler)
}

// consulConfig lays a source's configuration over Consul's own environment variables.
func consulConfig(c config.Source) (*api.Config, error) {
	client := api.DefaultConfig()
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
	if client.TokenFile != "" {
		if _, err := os.ReadFile(client.TokenFile); err != nil {
			return nil, fmt.Errorf("consul token file: %w; name a file that isthmus may read", err)
		}
	}
	return client, nil
}

func newKubeOutput(c config.Config, log *slog.Logger, metrics *kube.Metrics) (*kube.Output, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.Kubernetes.Kubeconfig
	restConfig, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, fmt.Errorf("no kubeconfig and no service account of a pod: name a file with --kubeconfig, or choose --output stdout")
	}
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	rest.AddUserAgent(restConfig, "isthmus/"+version)
	options, err := c.MeshOptions()
	if err != nil {
		return nil, err
	}
	election, err := election(c)
	if err != nil {
		return nil, err
	}
	return kube.New(kube.Options{
		REST:            restConfig,
		Placement:       options.Placement,
		Crowding:        options.Form == mesh.WorkloadEntryForm,
		WritesPerSecond: c.Kubernetes.WritesPerSecond,
		Writers:         c.Kubernetes.Writers,
		Grace:           c.Kubernetes.RemovalGrace.Std(),
		Election:        election,
		Log:             log,
		Metrics:         metrics,
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
		options, err := c.MeshOptions()
		if err != nil {
			return nil, err
		}
		namespace = options.Placement.Namespaces()[0]
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("leader election: %w", err)
	}
	return &kube.Election{
		Namespace: namespace, Name: "isthmus-" + c.Sources[0].Name,
		Identity:      fmt.Sprintf("%s_%d", host, os.Getpid()),
		LeaseDuration: e.LeaseDuration.Std(), RenewDeadline: e.RenewDeadline.Std(), RetryPeriod: e.RetryPeriod.Std(),
	}, nil
}
