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
)

// TLS names the files of the server's TLS, PEM each, and who may read.
type TLS struct {
	// CertFile and KeyFile are the server's certificate, with its chain, and key.
	CertFile, KeyFile string
	// ClientCAFile has the authorities that sign clients' certificates. Empty: clients show none.
	ClientCAFile string
	// Clients are the identities that may read, URIs (SPIFFE IDs), DNS names or IP addresses of certificates; Anyone
	// stands for all. They count where there is a ClientCAFile.
	Clients []string
}

// tlsFiles are the contents of the files.
type tlsFiles struct{ cert, key, clientCA string }

// rotating is TLS that changes with its files. Connections that stand stay as they are.
type rotating struct {
	current  atomic.Pointer[tls.Config]
	material filewatch.Loader[tlsFiles]
	every    time.Duration
	log      *slog.Logger
}

func newRotating(options TLS, every time.Duration, log *slog.Logger) (*rotating, error) {
	r := &rotating{every: every, log: log}
	r.material = filewatch.Loader[tlsFiles]{
		Read: func() (tlsFiles, error) { return readTLS(options) },
		Use: func(files tlsFiles) error {
			made, err := serverTLS(files)
			if err == nil {
				r.current.Store(made)
			}
			return err
		},
	}
	files, err := r.material.Read()
	if err == nil {
		err = r.material.Use(files)
	}
	if err != nil {
		return nil, fmt.Errorf("xds.tls: %w", err)
	}
	r.material.Used = files
	return r, nil
}

// credentials ask for the newest material at each handshake.
func (r *rotating) credentials() credentials.TransportCredentials {
	return credentials.NewTLS(&tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return r.current.Load(), nil },
	})
}

// watch looks at the files until ctx ends. A trouble makes one line when it begins.
func (r *rotating) watch(ctx context.Context) {
	ticker := time.NewTicker(r.every)
	defer ticker.Stop()
	troubled := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		changed, err := r.material.Poll()
		if changed {
			r.log.Info("the TLS files of xds changed; what is new is used for connections from now on")
		}
		if err != nil && !troubled {
			r.log.Error("the TLS files of xds can't be used; what was read before stands", "error", err)
		}
		troubled = err != nil
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
	made := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"},
	}
	if files.clientCA == "" {
		return made, nil
	}
	made.ClientAuth, made.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	if !made.ClientCAs.AppendCertsFromPEM([]byte(files.clientCA)) {
		return nil, errors.New("clientCAFile holds no certificate")
	}
	return made, nil
}
