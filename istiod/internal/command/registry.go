package command

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"istio.io/istio/pilot/pkg/bootstrap"
	"istio.io/istio/pkg/version"

	"github.com/isthmus-mesh/isthmus/internal/config"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/daemon"
	"github.com/isthmus-mesh/isthmus/internal/state"
	"github.com/isthmus-mesh/isthmus/istiod/internal/configstore"
)

// registry is isthmus inside istiod.
type registry struct {
	daemon *daemon.Daemon
	output *configstore.Output
}

// newRegistry assembles isthmus from the flags. istiod serves the metrics and the readiness of the process.
func newRegistry(flags *consulFlags) (*registry, error) {
	var content []byte
	if flags.config != "" {
		var err error
		if content, err = config.Read(flags.config); err != nil {
			return nil, err
		}
	}
	c, err := flags.parse(content)
	if err != nil {
		return nil, err
	}
	log := slog.Default()
	metrics := prometheus.NewRegistry()
	if err := prometheus.Register(metrics); err != nil {
		return nil, err
	}
	store, err := openStore(c, log)
	if err != nil {
		return nil, err
	}
	output := configstore.New(log, configstore.NewMetrics(metrics))
	options := daemon.Options{
		Config: c, Output: output, Store: store, Log: log, Metrics: metrics, Version: version.Info.Version, Embedded: true,
	}
	if flags.config != "" {
		options.File = &daemon.ConfigFile{Path: flags.config, Content: content, AnyNamespace: true, Parse: flags.parse}
	}
	d, err := daemon.New(options)
	return &registry{daemon: d, output: output}, err
}

// openStore opens the state file; nil if there is none.
func openStore(c config.Config, log *slog.Logger) (contract.Store, error) {
	if c.State.File == "" {
		log.Warn("no state file, a restart while Consul is down serves nothing", "hint", "set --"+stateFlag)
		return nil, nil
	}
	return state.Open(c.State.File, log)
}

// addTo adds the config store to a server that is being created.
func (r *registry) addTo(server *bootstrap.Server) {
	server.ConfigStores = append(server.ConfigStores, r.output.Store())
}

// start runs isthmus. The returned function stops it and waits for its end.
func (r *registry) start(ctx context.Context, failed chan<- error) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		failed <- r.daemon.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}
