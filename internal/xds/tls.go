package xds

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/isthmus-mesh/isthmus/internal/filewatch"
	"github.com/isthmus-mesh/isthmus/internal/logonce"
	"github.com/isthmus-mesh/isthmus/internal/wait"
)

// TLS configures the TLS of the server. The files are PEM.
type TLS struct {
	// CertFile is the certificate of the server, followed by its chain.
	CertFile string
	// KeyFile is the private key of the certificate.
	KeyFile string
	// ClientCAFile holds the authorities that sign client certificates. Empty means that clients need no certificate.
	ClientCAFile string
	// Clients are the identities that may read: URIs (SPIFFE IDs), DNS names or IP addresses of certificates. AnyClient
	// allows all. They apply if ClientCAFile is set.
	Clients []string
}

// tlsFiles is the content of the files.
type tlsFiles struct{ cert, key, clientCA string }

// reloadingTLS is a TLS configuration that follows its files. Established connections keep their configuration.
type reloadingTLS struct {
	current  atomic.Pointer[tls.Config]
	files    filewatch.Loader[tlsFiles]
	interval time.Duration
	log      *slog.Logger
	// failing is active while the files cannot be used.
	failing logonce.Condition
}

func newReloadingTLS(options TLS, interval time.Duration, log *slog.Logger) (*reloadingTLS, error) {
	r := &reloadingTLS{interval: interval, log: log}
	r.files = filewatch.Loader[tlsFiles]{
		Read: func() (tlsFiles, error) { return readTLS(options) },
		Use: func(files tlsFiles) error {
			config, err := serverTLS(files)
			if err == nil {
				r.current.Store(config)
			}
			return err
		},
	}
	files, err := r.files.Read()
	if err == nil {
		err = r.files.Use(files)
	}
	if err != nil {
		return nil, fmt.Errorf("xds.tls: %w", err)
	}
	r.files.Used = files
	return r, nil
}

// credentials returns credentials that use the newest configuration for each handshake.
func (r *reloadingTLS) credentials() credentials.TransportCredentials {
	return credentials.NewTLS(&tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return r.current.Load(), nil },
	})
}

// run polls the files until ctx ends.
func (r *reloadingTLS) run(ctx context.Context) {
	for wait.Sleep(ctx, r.interval) {
		changed, err := r.files.Poll()
		if changed {
			r.log.Info("xDS TLS files changed, using them for new connections")
		}
		switch {
		case err == nil:
			r.failing.End()
		case r.failing.Begin():
			r.log.Error("xDS TLS files unusable, keeping the previous ones", "error", err)
		}
	}
}

func readTLS(options TLS) (files tlsFiles, err error) {
	var errs []error
	read := func(path string) string {
		if path == "" {
			return ""
		}
		content, err := os.ReadFile(filepath.Clean(path))
		errs = append(errs, err)
		return string(content)
	}
	files = tlsFiles{cert: read(options.CertFile), key: read(options.KeyFile), clientCA: read(options.ClientCAFile)}
	if options.ClientCAFile != "" && files.clientCA == "" {
		errs = append(errs, fmt.Errorf("%s is empty", options.ClientCAFile))
	}
	return files, errors.Join(errs...)
}

func serverTLS(files tlsFiles) (*tls.Config, error) {
	certificate, err := tls.X509KeyPair([]byte(files.cert), []byte(files.key))
	if err != nil {
		return nil, fmt.Errorf("certFile and keyFile: %w", err)
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"},
	}
	if files.clientCA == "" {
		return config, nil
	}
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM([]byte(files.clientCA)) {
		return nil, errors.New("clientCAFile contains no PEM certificate")
	}
	return config, nil
}
