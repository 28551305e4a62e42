package cli

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/isthmus-mesh/isthmus/internal/config"
	"github.com/isthmus-mesh/isthmus/internal/daemon"
)

func newRun() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Sync services from Consul until stopped",
		Long: `Sync services from Consul until stopped.

The command reads one or more Consul datacenters and keeps the output in sync with them. It stops on SIGTERM and SIGINT.`,
		Example: `  # Write to the cluster of the current kubeconfig context
  isthmus run --consul-addr 127.0.0.1:8500 --namespace consul-services

  # Print the objects and their changes
  isthmus run --output stdout

  # Write one file for each service
  isthmus run --config isthmus.yaml --output dir=manifests

  # Serve istiod by MCP over xDS, without TLS
  isthmus run --output xds=:15010 --xds-plaintext`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := f.newDaemon(cmd)
			if err != nil {
				return usageError{err}
			}
			return d.Run(cmd.Context())
		},
	}
	f.register(cmd.Flags())
	return cmd
}

// newDaemon assembles a run from flags, environment and configuration file.
func (f *flags) newDaemon(cmd *cobra.Command) (*daemon.Daemon, error) {
	c, content, err := f.load(cmd.Flags())
	if err != nil {
		return nil, err
	}
	if err := f.checkXDS(c); err != nil {
		return nil, err
	}
	log, level := newLog(c.Log, cmd.ErrOrStderr())
	registry := prometheus.NewRegistry()
	out, err := newOutput(c, f.output, cmd.OutOrStdout(), log, registry)
	if err != nil {
		return nil, err
	}
	options := daemon.Options{
		Config: c, Output: out, Store: out.store, Conflicts: out.conflicts,
		Log: log, Level: level, Metrics: registry, Version: version,
	}
	if f.configFile != "" {
		options.File = &daemon.ConfigFile{
			Path: f.configFile, Content: content, AnyNamespace: f.servesXDS(),
			Parse: func(content []byte) (config.Config, error) { return f.parse(cmd.Flags(), content) },
		}
	}
	return daemon.New(options)
}
