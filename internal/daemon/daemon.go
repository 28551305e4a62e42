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
	"os"

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
	// Embedded says that the process is another program, which serves metrics and probes. The daemon then has no admin
	// server, registers no metrics of the process, and does not change the settings of the garbage collector.
	Embedded bool
}

// Daemon consists of all parts of a process, ready to run. Use New to create one.
type Daemon struct {
	log     *slog.Logger
	level   *slog.LevelVar
	version string
	sources []*consul.Source
	engine  *engine.Engine
	// admin is nil if the daemon is embedded.
	admin *admin.Server
	// reload is nil if there is no configuration file.
	reload *reloader
}

// New assembles the parts. It contacts no server; it opens the ports that the process listens on. An error means that
// the configuration or the environment must be fixed, so a retry doesn't help.
func New(options Options) (*Daemon, error) {
	c, log, registry := options.Config, options.Log, options.Metrics
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
		Rules: rules, Groups: c.Groups(), Addresses: ranges, Store: options.Store,
		Budget: engine.Budget{Objects: c.Limits.Objects, ObjectsPerSource: c.Limits.ObjectsPerSource},
		Log:    log, Metrics: engine.NewMetrics(registry),
	}, inputs, outputs)
	d := &Daemon{log: log, level: options.Level, version: options.Version, sources: sources, engine: e}
	if !options.Embedded {
		registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
		if d.admin, err = newAdmin(e, options); err != nil {
			return nil, err
		}
	}
	if options.File != nil {
		d.reload = newReloader(c, *options.File, d.apply, log)
	}
	return d, nil
}

// newAdmin opens the port of the admin server.
func newAdmin(e *engine.Engine, options Options) (*admin.Server, error) {
	server, err := admin.Listen(admin.Options{
		Address: adminAddress(options.Config.Admin, os.Getenv), Metrics: options.Metrics, Ready: e.Ready,
		Profiles: options.Config.Admin.Profiles, Log: options.Log,
		Status: func() any { return newStatus(e, options.Conflicts) },
	})
	if err != nil {
		return nil, fmt.Errorf("%w; choose another with --admin-addr", err)
	}
	return server, nil
}

// Run runs all parts until ctx ends or one of them fails. The admin server stops last, so probes succeed during the
// shutdown.
func (d *Daemon) Run(ctx context.Context) error {
	group, groupCtx := errgroup.WithContext(ctx)
	address, stopServing := "", func() {}
	if d.admin != nil {
		var serving context.Context
		serving, stopServing = context.WithCancel(context.WithoutCancel(ctx))
		address = d.admin.Address()
		group.Go(func() error { return d.admin.Run(serving) })
		group.Go(func() error {
			tuneGC(groupCtx, d.engine)
			return nil
		})
	}
	d.log.Info("isthmus started", "version", d.version, "address", address)
	group.Go(func() error {
		defer stopServing()
		return d.engine.Run(groupCtx)
	})
	if d.reload != nil {
		group.Go(func() error { return d.reload.run(groupCtx) })
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
