package consul

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

// secretsKept is how many secrets are kept out of the log. Whoever repeats one does so about a request that is under
// way.
const secretsKept = 8

// credentials are what a source shows to Consul and what it trusts: the ACL token and TLS. They change with
// their files; what is broken in a file doesn't count.
type credentials struct {
	config api.Config
	dial   func(ctx context.Context, network, address string) (net.Conn, error)

	// looking is held while the files are read; tokenFile and tlsFiles are nil without files.
	looking   sync.Mutex
	tokenFile *material[string]
	tlsFiles  *material[tlsFiles]

	mu sync.RWMutex
	// edition counts the changes.
	edition int
	secret  string
	// secrets are the tokens that were in use, and a password.
	secrets []string
	base    *http.Transport
}

// newCredentials takes them from a configuration alone. Consul's API fills in from the environment what is empty; but of
// several Consuls that is about one.
func newCredentials(config *api.Config, dial func(context.Context, string, string) (net.Conn, error)) (*credentials, error) {
	c := &credentials{config: *config, dial: dial}
	if auth := config.HttpAuth; auth != nil && auth.Password != "" {
		c.secrets = append(c.secrets, auth.Password)
	}
	if err := c.startToken(); err != nil {
		return nil, err
	}
	return c, c.startTLS()
}

func (c *credentials) startToken() error {
	file := c.config.TokenFile
	if file == "" {
		return c.useToken(c.config.Token)
	}
	token, err := readToken(file)
	if err != nil {
		return fmt.Errorf("%w; name a file that holds the token and that isthmus may read", err)
	}
	c.tokenFile = &material[string]{
		what: "token file", Loader: filewatch.Loader[string]{
			Used: token, Use: c.useToken, Read: func() (string, error) { return readToken(file) },
		},
	}
	return c.useToken(token)
}

func (c *credentials) startTLS() error {
	conf := c.config.TLSConfig
	files, err := readTLS(conf)
	if err != nil {
		return fmt.Errorf("TLS files: %w; name files that isthmus may read", err)
	}
	if files != (tlsFiles{}) {
		c.tlsFiles = &material[tlsFiles]{
			what: "TLS files", Loader: filewatch.Loader[tlsFiles]{
				Used: files, Use: c.useTLS, Read: func() (tlsFiles, error) { return readTLS(conf) },
			},
		}
	}
	return c.useTLS(files)
}

func (c *credentials) useToken(token string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.edition++
	c.secret = token
	if token != "" {
		c.secrets = append(c.secrets, token)
		c.secrets = c.secrets[max(0, len(c.secrets)-secretsKept):]
	}
	return nil
}

func (c *credentials) useTLS(files tlsFiles) error {
	made, err := c.makeTLS(files)
	if err != nil {
		return err
	}
	base := cleanhttp.DefaultPooledTransport()
	base.TLSClientConfig = made
	base.DialContext = c.dial
	c.mu.Lock()
	defer c.mu.Unlock()
	c.edition++
	c.base = base
	return nil
}

// makeTLS uses what was read, so that it is what will be compared with later.
func (c *credentials) makeTLS(files tlsFiles) (*tls.Config, error) {
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

// token returns the token to use now, empty for none.
func (c *credentials) token() string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.secret
}

// current returns the number of the credentials' edition, and what connections are to be made from now.
func (c *credentials) current() (int, *http.Transport) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.edition, c.base
}

// hidden returns what must not be repeated in a log.
func (c *credentials) hidden() []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Clone(c.secrets)
}

// look reads the files again. It returns what has changed, for the log, and what can't be used.
func (c *credentials) look() (changed []string, token, tls error) {
	c.looking.Lock()
	defer c.looking.Unlock()
	var is bool
	if c.tokenFile != nil {
		if is, token = c.tokenFile.Poll(); is {
			changed = append(changed, c.tokenFile.what)
		}
	}
	if c.tlsFiles != nil {
		if is, tls = c.tlsFiles.Poll(); is {
			changed = append(changed, c.tlsFiles.what)
		}
	}
	return changed, token, tls
}
