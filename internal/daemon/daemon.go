// Package daemon assembles sources, the engine and outputs from a configuration, and runs them.
//
// The caller builds the output that writes the mesh configuration, and the store that keeps the last known good state,
// and passes both in. The package doesn't import client-go, so a program without a Kubernetes client can use it.
//
//	Config ──▶ sources ──▶ engine ──▶ Options.Output
//	                        │  ▲  └──▶ DNS server
//	          Options.Store ◀──┘  └─── reloader: rules and selections that change at run time
package daemon

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/isthmus-mesh/isthmus/internal/admin"
	"github.com/isthmus-mesh/isthmus/internal/config"
	"github.com/isthmus-mesh/isthmus/internal/consul"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/engine"
)

// Options configure a Daemon.
type Options struct {
	// Config is a valid configuration.
	Config config.Config
	// File is the configuration file to watch for changes. Nil disables reloading.
	File *ConfigFile
	// Output writes the mesh configuration.
	Output contract.Output
	// Store keeps the last known good state across restarts. Nil keeps nothing.
	Store contract.Store
	// Conflicts returns the first conflicts with other objects, and the number of all, for /status. Nil: the output
	// can't detect conflicts.
	Conflicts func() (first any, count int)
	// Log is the log of the process.
	Log *slog.Logger
	// Level is the level of Log. A reload changes it. Nil: the level is fixed.
	Level *slog.LevelVar
	// Metrics is the registry that the admin server serves. New registers the metrics of all parts and of the process.
	Metrics *prometheus.Registry
	// Version is the version that the log reports at the start.
	Version string
	// TuneGC lets the daemon change the settings of the garbage collector. Set it only if the process is all isthmus.
	TuneGC bool
}

// Daemon consists of all parts of a process, ready to run. Use New to create one.
type Daemon struct {
	log     *slog.Logger
	level   *slog.LevelVar
	version string
	tuneGC  bool
	sources []*consul.Source
	engine  *engine.Engine
	admin   *admin.Server
	// reload is nil if there is no configuration file.
	reload *reloader
}

// New assembles the parts. It contacts no server; it opens the ports that the process listens on. An error means that
// the configuration or the environment must be fixed, so a retry doesn't help.
func New(options Options) (*Daemon, error) {
	c, log, registry := options.Config, options.Log, options.Metrics
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	rules, err := engineRules(c)
	if err != nil {
		return nil, err
	}
	sources, err := newSources(c, log, registry)
	if err != nil {
		return nil, err
	}
	inputs := make([]contract.Source, len(sources))
	for i, source := range sources {
		inputs[i] = source
	}
	outputs := []contract.Output{options.Output}
	if server, err := newDNS(c, log, registry); err != nil {
		return nil, err
	} else if server != nil {
		outputs = append(outputs, server)
	}
	ranges, err := newAddresses(c, log)
	if err != nil {
		return nil, err
	}
	e := engine.New(engine.Options{
		Rules: rules, Groups: c.Groups(), Addresses: ranges, Store: options.Store, Log: log, Metrics: engine.NewMetrics(registry),
	}, inputs, outputs)
	server, err := admin.Listen(admin.Options{
		Address: c.Admin.Address, Metrics: registry, Ready: e.Ready, Profiles: c.Admin.Profiles, Log: log,
		Status: func() any { return newStatus(e, options.Conflicts) },
	})
	if err != nil {
		return nil, fmt.Errorf("%w; choose another with --admin-addr", err)
	}
	d := &Daemon{
		log: log, level: options.Level, version: options.Version, tuneGC: options.TuneGC,
		sources: sources, engine: e, admin: server,
	}
	if options.File != nil {
		d.reload = newReloader(c, *options.File, d.apply, log)
	}
	return d, nil
}

// Run runs all parts until ctx ends or one of them fails. The admin server stops last, so probes succeed during the
// shutdown.
func (d *Daemon) Run(ctx context.Context) error {
	d.log.Info("isthmus started", "version", d.version, "address", d.admin.Address())
	group, groupCtx := errgroup.WithContext(ctx)
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error { return d.admin.Run(serving) })
	group.Go(func() error {
		defer stopServing()
		return d.engine.Run(groupCtx)
	})
	if d.reload != nil {
		group.Go(func() error { return d.reload.run(groupCtx) })
	}
	if d.tuneGC {
		group.Go(func() error {
			tuneGC(groupCtx, d.engine)
			return nil
		})
	}
	err := group.Wait()
	if ctx.Err() != nil {
		d.log.Info("isthmus stopped")
	}
	return err
}

// engineRules returns the part of the configuration that the engine uses for each service.
func engineRules(c config.Config) (engine.Rules, error) {
	options, err := c.MeshOptions()
	return engine.Rules{Mesh: options, Guard: c.Guard.Options()}, err
}
