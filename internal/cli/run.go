package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/isthmus-mesh/isthmus/internal/contract"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/isthmus-mesh/isthmus/internal/admin"
	"github.com/isthmus-mesh/isthmus/internal/config"
	"github.com/isthmus-mesh/isthmus/internal/consul"
	"github.com/isthmus-mesh/isthmus/internal/engine"
	"github.com/isthmus-mesh/isthmus/internal/file"
	"github.com/isthmus-mesh/isthmus/internal/kube"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/state"
)

func newRun() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Bring the services over, and keep them in step until stopped",
		Example: `  isthmus run --consul-addr 127.0.0.1:8500 --namespace consul-services
  isthmus run --output stdout
  isthmus run --config isthmus.yaml --output dir=manifests
  isthmus run --output xds=:15010 --xds-plaintext`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, content, err := f.load(cmd.Flags())
			if err != nil {
				return usageError{err}
			}
			if err := f.checkXDS(c); err != nil {
				return usageError{err}
			}
			d, err := newDaemon(c, f.output, cmd.OutOrStdout(), cmd.ErrOrStderr())
			if err != nil {
				return usageError{err}
			}
			if f.configFile != "" {
				d.reload = d.newReloader(c, content, f.configFile, func(content []byte) (config.Config, error) {
					return f.parse(cmd.Flags(), content)
				})
				if f.servesXDS() {
					d.reload.known = nil
				}
			}
			return d.run(cmd.Context())
		},
	}
	f.register(cmd.Flags())
	return cmd
}

var _ contract.ConnectionChecker = (*consul.Source)(nil)

// daemon is everything that a run consists of, ready to start.
type daemon struct {
	log     *slog.Logger
	level   *slog.LevelVar
	sources []*consul.Source
	bridge  *engine.Engine
	admin   *admin.Server
	// reload is nil where there is no configuration file.
	reload *reloader
}

// newDaemon puts the parts together. What fails here is the user's to mend: it needs no server but the port
// that it listens on.
func newDaemon(c config.Config, output string, stdout, stderr io.Writer) (*daemon, error) {
	log, level := newLog(c.Log, stderr)
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	rules, err := rules(c)
	if err != nil {
		return nil, err
	}
	sources, err := newSources(c, log, registry)
	if err != nil {
		return nil, err
	}
	out, memory, err := newOutput(c, rules.Mesh.Placement, output, stdout, log, registry)
	if err != nil {
		return nil, err
	}
	read := make([]contract.Source, len(sources))
	for i, source := range sources {
		read[i] = source
	}
	outputs := []contract.Output{out}
	if names, err := newDNS(c, log, registry); err != nil {
		return nil, err
	} else if names != nil {
		outputs = append(outputs, names)
	}
	addresses, err := newAddresses(c, log)
	if err != nil {
		return nil, err
	}
	b := engine.New(engine.Options{
		Rules: rules, Groups: c.Groups(), Addresses: addresses, Store: memory, Log: log, Metrics: engine.NewMetrics(registry),
	}, read, outputs)
	server, err := admin.Listen(admin.Options{
		Address: c.Admin.Address, Metrics: registry, Ready: b.Ready, Profiles: c.Admin.Profiles,
		Status: func() any { return statusOf(b, out) },
	})
	if err != nil {
		return nil, fmt.Errorf("%w; choose another with --admin-addr", err)
	}
	return &daemon{log: log, level: level, sources: sources, bridge: b, admin: server}, nil
}

func (d *daemon) run(ctx context.Context) error {
	d.log.Info("isthmus starts", "version", version, "admin", d.admin.Address())
	group, groupCtx := errgroup.WithContext(ctx)
	// The admin server goes last: until then a kubelet sees a live process that winds up.
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error { return d.admin.Run(serving) })
	group.Go(func() error {
		defer stopServing()
		return d.bridge.Run(groupCtx)
	})
	if d.reload != nil {
		group.Go(func() error { return d.reload.run(groupCtx) })
	}
	group.Go(func() error {
		d.rest(groupCtx)
		return nil
	})
	err := group.Wait()
	if ctx.Err() != nil {
		d.log.Info("isthmus stopped")
	}
	return err
}

func rules(c config.Config) (engine.Rules, error) {
	options, err := c.MeshOptions()
	return engine.Rules{Mesh: options, Guard: c.Guard.Options()}, err
}

func newSources(c config.Config, log *slog.Logger, registry prometheus.Registerer) ([]*consul.Source, error) {
	metrics := consul.NewMetrics(registry)
	sources := make([]*consul.Source, 0, len(c.Sources))
	for _, s := range c.Sources {
		source, err := consul.New(consul.Options{
			Name: s.Name, Config: consulConfig(s, len(c.Sources) > 1), Datacenter: s.Datacenter, Connections: s.Connections,
			Wait: s.Wait.Std(), Selection: selection(s.Services), Filter: s.Services.Filter, Logger: log, Metrics: metrics,
		})
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", s.Name, err)
		}
		sources = append(sources, source)
	}
	return sources, nil
}

// newOutput makes the output, and what it remembers of earlier runs.
func newOutput(
	c config.Config, placement mesh.Placement, output string, stdout io.Writer, log *slog.Logger, registry prometheus.Registerer,
) (contract.Output, contract.Store, error) {
	kind, argument, err := parseOutput(output)
	if err != nil {
		return nil, nil, err
	}
	if kind == outputKube {
		if c.State.File != "" {
			return nil, nil, fmt.Errorf("with output kube the objects themselves are the last known good: leave out --state-file and state.file")
		}
		out, err := newKubeOutput(c, placement, log, kube.NewMetrics(registry))
		if err != nil {
			return nil, nil, err
		}
		return out, out.Store(), nil
	}
	memory, err := newMemory(c, kind, log)
	if err != nil {
		return nil, nil, err
	}
	switch kind {
	case outputStdout:
		return file.NewStream(stdout), memory, nil
	case outputXDS:
		out, err := newXDSOutput(c, argument, log, registry)
		return out, memory, err
	default:
		out, err := file.NewFolder(argument, log)
		return out, memory, err
	}
}

// newMemory opens the state file; nil where there is none.
func newMemory(c config.Config, kind string, log *slog.Logger) (contract.Store, error) {
	if c.State.File != "" {
		return state.Open(c.State.File, log)
	}
	if kind != outputStdout {
		log.Warn("without a state file a start while Consul is down knows nothing, and a restart forgets what is held: " +
			"name one with --state-file")
	}
	return nil, nil
}
