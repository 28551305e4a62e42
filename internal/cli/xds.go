package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/config"
	"github.com/isthmus-mesh/isthmus/internal/xds"
)

// servesXDS tells whether the output is xds: that has a say in the configuration.
func (f *flags) servesXDS() bool { return strings.HasPrefix(f.output, outputXDS+"=") }

// checkXDS holds that how istiods are served was chosen, and by one name.
func (f *flags) checkXDS(c config.Config) error {
	kind, address, err := parseOutput(f.output)
	if err != nil {
		return err
	}
	secure := c.XDS.TLS.CertFile != ""
	switch {
	case kind != outputXDS && f.xdsPlaintext:
		return errors.New("--xds-plaintext is for --output xds=ADDRESS")
	case kind != outputXDS:
		return nil
	case !secure && !f.xdsPlaintext:
		return errors.New("--output xds needs xds.tls.certFile and xds.tls.keyFile in the configuration; " +
			"where plain text is wanted, add --xds-plaintext")
	case secure && f.xdsPlaintext:
		return errors.New("--xds-plaintext contradicts xds.tls in the configuration: take one of them away")
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return fmt.Errorf("output xds: %q is not host:port or :port", address)
	}
	return nil
}

func newXDSOutput(c config.Config, address string, log *slog.Logger, registry prometheus.Registerer) (*xds.Output, error) {
	options := xds.Options{
		Address: address, Grace: c.XDS.RemovalGrace.Std(), Log: log, Metrics: xds.NewMetrics(registry),
	}
	if files := c.XDS.TLS; files.CertFile != "" {
		options.TLS = &xds.TLS{
			CertFile: files.CertFile, KeyFile: files.KeyFile, ClientCAFile: files.ClientCAFile, Clients: c.XDS.Clients,
		}
	}
	return xds.New(options)
}
