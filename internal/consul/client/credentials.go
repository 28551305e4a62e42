package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/go-cleanhttp"

	"github.com/isthmus-mesh/isthmus/internal/filewatch"
)

// secretsKept is the number of secrets that are kept out of the log. A response can only repeat the token of a request that
// is in flight.
const secretsKept = 8

// Names of the file groups in the log.
const (
	tokenFileName = "token file"
	tlsFilesName  = "TLS files"
)

// Credentials has the ACL token and the TLS settings. They follow their files; invalid content of a file is not used.
type Credentials struct {
	config api.Config
	dial   func(ctx context.Context, network, address string) (net.Conn, error)

	// readMu serializes Poll, which reads the files. It is acquired before mu.
	readMu sync.Mutex
	// tokenFile is nil if the token does not come from a file.
	tokenFile *credentialFiles[string]
	// tlsFiles is nil if no TLS setting comes from a file.
	tlsFiles *credentialFiles[tlsFiles]

	// mu guards the fields below. It is a leaf.
	mu sync.RWMutex
	// version counts the changes.
	version int
	// token is the token in use.
	token string
	// secrets has the last tokens in use and the password.
	secrets []string
	// base is the transport with the TLS settings in use.
	base *http.Transport
}

// newCredentials takes the credentials from the configuration only. Consul's API client completes a configuration from the
// environment, which is about one of several Consuls.
func newCredentials(config *api.Config, dial func(context.Context, string, string) (net.Conn, error)) (*Credentials, error) {
	c := &Credentials{config: *config, dial: dial}
	if auth := config.HttpAuth; auth != nil && auth.Password != "" {
		c.secrets = append(c.secrets, auth.Password)
	}
	if err := c.initToken(); err != nil {
		return nil, err
	}
	return c, c.initTLS()
}

func (c *Credentials) initToken() error {
	file := c.config.TokenFile
	if file == "" {
		return c.useToken(c.config.Token)
	}
	token, err := readToken(file)
	if err != nil {
		return fmt.Errorf("%w; name a readable file that contains the token", err)
	}
	c.tokenFile = &credentialFiles[string]{
		name: tokenFileName, Loader: filewatch.Loader[string]{
			Used: token, Use: c.useToken, Read: func() (string, error) { return readToken(file) },
		},
	}
	return c.useToken(token)
}

func (c *Credentials) initTLS() error {
	conf := c.config.TLSConfig
	files, err := readTLS(conf)
	if err != nil {
		return fmt.Errorf("TLS files: %w; name readable files", err)
	}
	if files != (tlsFiles{}) {
		c.tlsFiles = &credentialFiles[tlsFiles]{
			name: tlsFilesName, Loader: filewatch.Loader[tlsFiles]{
				Used: files, Use: c.useTLS, Read: func() (tlsFiles, error) { return readTLS(conf) },
			},
		}
	}
	return c.useTLS(files)
}

func (c *Credentials) useToken(token string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	c.token = token
	if token != "" {
		c.secrets = append(c.secrets, token)
		c.secrets = c.secrets[max(0, len(c.secrets)-secretsKept):]
	}
	return nil
}

func (c *Credentials) useTLS(files tlsFiles) error {
	config, err := c.tlsConfig(files)
	if err != nil {
		return err
	}
	base := cleanhttp.DefaultPooledTransport()
	base.TLSClientConfig = config
	base.DialContext = c.dial
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	c.base = base
	return nil
}

// tlsConfig builds the TLS settings from the content that was read, because later content is compared with it.
func (c *Credentials) tlsConfig(files tlsFiles) (*tls.Config, error) {
	conf := c.config.TLSConfig
	conf.CAFile, conf.CAPath, conf.CertFile, conf.KeyFile = "", "", "", ""
	if files.ca != "" {
		conf.CAPem = []byte(files.ca)
	}
	if files.cert+files.key != "" {
		conf.CertPEM, conf.KeyPEM = []byte(files.cert), []byte(files.key)
	}
	return api.SetupTLSConfig(&conf)
}

// Token returns the token in use, or "" for none.
func (c *Credentials) Token() string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.token
}

// Version returns the number of changes of the credentials.
func (c *Credentials) Version() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.version
}

// current returns the version of the credentials and the transport that new connections are made from.
func (c *Credentials) current() (int, *http.Transport) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.version, c.base
}

// Secrets returns the texts that must not be logged.
func (c *Credentials) Secrets() []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Clone(c.secrets)
}

// Watched reports whether some credentials come from files.
func (c *Credentials) Watched() bool { return c.tokenFile != nil || c.tlsFiles != nil }

// Poll reads the files. It returns the names of the file groups whose content changed, and an error for each group that
// cannot be used.
func (c *Credentials) Poll() (changed []string, token, tls error) {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	var ok bool
	if c.tokenFile != nil {
		if ok, token = c.tokenFile.Poll(); ok {
			changed = append(changed, c.tokenFile.name)
		}
	}
	if c.tlsFiles != nil {
		if ok, tls = c.tlsFiles.Poll(); ok {
			changed = append(changed, c.tlsFiles.name)
		}
	}
	return changed, token, tls
}
