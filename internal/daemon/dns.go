package daemon

import (
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/config"
	"github.com/isthmus-mesh/isthmus/internal/dns"
)

// newDNS creates the DNS server. It returns nil if the configuration has no DNS address.
func newDNS(c config.Config, log *slog.Logger, registry prometheus.Registerer) (*dns.Server, error) {
	if c.DNS.Address == "" {
		return nil, nil
	}
	addresses, err := c.AddressOptions()
	if err != nil {
		return nil, err
	}
	server, err := dns.Listen(dns.Options{
		Address: c.DNS.Address, Instances: c.DNS.Answer == config.AnswerInstances,
		Domains: c.ConsulDomains(), MoreDomains: c.DNS.Domains, Forward: c.Forward(), Addresses: addresses, MaxAmplification: c.DNS.MaxAmplification,
		TTL: c.DNS.TTL.Std(), NegativeTTL: c.DNS.NegativeTTL.Std(), Log: log, Metrics: dns.NewMetrics(registry),
	})
	if err != nil {
		return nil, fmt.Errorf("%w; choose another with --dns-addr", err)
	}
	return server, nil
}
