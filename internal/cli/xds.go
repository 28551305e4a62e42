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

// servesXDS reports whether the output is xds, which changes defaults of the configuration.
func (f *flags) servesXDS() bool { return strings.HasPrefix(f.output, outputXDS+"=") }

// checkXDS returns an error unless the transport of the xds output is set, either to TLS or to plain text.
func (f *flags) checkXDS(c config.Config) error {
	kind, address, err := parseOutput(f.output)
	if err != nil {
		return err
	}
	secure := c.XDS.TLS.CertFile != ""
	switch {
	case kind != outputXDS && f.xdsPlaintext:
		return errors.New("--xds-plaintext requires --output xds=ADDRESS")
	case kind != outputXDS:
		return nil
	case !secure && !f.xdsPlaintext:
		return errors.New("--output xds requires xds.tls.certFile and xds.tls.keyFile in the configuration; " +
			"to serve plain text, set --xds-plaintext")
	case secure && f.xdsPlaintext:
		return errors.New("--xds-plaintext conflicts with xds.tls in the configuration; remove one of them")
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return fmt.Errorf("output xds: %q is not host:port or :port", address)
	}
	return nil
}

// newXDSOutput creates the output that serves istiod by MCP over xDS.
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
