package daemon

import (
	"cmp"
	"fmt"
	"log/slog"
	"strings"

	"github.com/hashicorp/consul/api"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/config"
	"github.com/isthmus-mesh/isthmus/internal/consul"
	"github.com/isthmus-mesh/isthmus/internal/contract"
)

var (
	_ contract.ConnectionChecker = (*consul.Source)(nil)
	_ contract.Preferrer         = (*consul.Source)(nil)
)

// newSources creates one source for each entry of the configuration.
func newSources(c config.Config, log *slog.Logger, registry prometheus.Registerer) ([]*consul.Source, error) {
	metrics := consul.NewMetrics(registry)
	limits := sourceLimits(c.Limits, memoryOf(), max(1, len(c.Sources)))
	sources := make([]*consul.Source, 0, len(c.Sources))
	for _, s := range c.Sources {
		source, err := consul.New(consul.Options{
			Name: s.Name, Config: consulConfig(s, len(c.Sources) > 1), Datacenter: s.Datacenter, Connections: s.Connections,
			Wait: s.Wait.Std(), Selection: selection(s.Services), Filter: s.Services.Filter, AddressTag: s.AddressTag,
			ServiceDefaults: s.ServiceDefaults, Logger: log, Metrics: metrics,
			Limits: limits,
		})
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", s.Name, err)
		}
		sources = append(sources, source)
	}
	return sources, nil
}

// consulConfig merges the configuration of a source with Consul's environment variables; the configuration takes
// precedence. If there are several sources, a source with an address of its own ignores the environment: otherwise the
// token would be sent to a Consul that it isn't issued for.
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

// selection returns the selection of a valid configuration.
func selection(c config.Services) consul.Selection {
	kinds, _ := catalog.ParseKinds(c.IncludeKinds) // Validate has accepted them
	return consul.Selection{Include: c.Include, Exclude: c.Exclude, WithTags: c.WithTags, WithoutTags: c.WithoutTags, Kinds: kinds}
}
