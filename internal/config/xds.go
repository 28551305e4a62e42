package config

import (
	"fmt"
	"slices"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// XDS configures the output xds, MCP over xDS.
type XDS struct {
	TLS          XDSTLS   `json:"tls" doc:"TLS of the server. The files are reloaded when they change. Plain text requires --xds-plaintext."`
	Clients      []string `json:"clients" doc:"Subject alternative names of authorized client certificates, for example spiffe://cluster.local/ns/istio-system/sa/istiod. Requires tls.clientCAFile. \"*\" authorizes every certificate that the CA signed."`
	Shards       int      `json:"shards" doc:"Number of namespaces over which services are spread if mesh.endpoints is workloadEntry: NAMESPACE-0 and so on. 0: one namespace. They need not exist in Kubernetes. With inline endpoints there is always one namespace."`
	RemovalGrace Duration `json:"removalGrace" doc:"How long the ServiceEntry of a removed service stays, without endpoints. A service that returns within this time causes no full push in istiod."`
}

// XDSTLS configures TLS of the xDS server.
type XDSTLS struct {
	CertFile     string `json:"certFile" doc:"File with the certificate of the server and its chain."`
	KeyFile      string `json:"keyFile" doc:"File with the key of the server."`
	ClientCAFile string `json:"clientCAFile" doc:"File with the CA certificates for client certificates. Empty: clients need no certificate, so every client that can connect is authorized. Current versions of istiod present no certificate."`
}

func (x XDS) validate(found *problems) {
	const at = "xds."
	if (x.TLS.CertFile == "") != (x.TLS.KeyFile == "") {
		found.fail(at+"tls", "certFile and keyFile require each other")
	}
	if x.TLS.ClientCAFile != "" && x.TLS.CertFile == "" {
		found.fail(at+"tls.clientCAFile", "requires certFile and keyFile")
	}
	if x.TLS.ClientCAFile != "" && len(x.Clients) == 0 {
		found.fail(at+"clients", `empty, so no client is authorized; list the identities of clients, or "*" for every certificate of clientCAFile`)
	}
	if x.TLS.ClientCAFile == "" && len(x.Clients) > 0 {
		found.fail(at+"clients", "requires tls.clientCAFile, because other clients present no certificate")
	}
	for i, client := range x.Clients {
		if client == "" {
			found.fail(fmt.Sprintf("%sclients[%d]", at, i), "must not be empty")
		}
	}
	if x.Shards < 0 || x.Shards > 1000 {
		found.fail(at+"shards", "%d is not within 0 and 1000", x.Shards)
	}
	if x.RemovalGrace < 0 {
		found.fail(at+"removalGrace", "%s is negative", x.RemovalGrace)
	}
}

// ForXDS returns the configuration with the defaults of output xds. Endpoints are inline unless configured otherwise,
// because they cost istiod half as much as WorkloadEntries. This applies to auto too: the form of a service depends on its
// history, which replicas of this output don't share. WorkloadEntries are spread over namespaces, because istiod's work
// for a namespace grows with services times instances. The default limit of objects does not apply.
func (c Config) ForXDS() Config {
	if c.Mesh.Endpoints == "" || c.Mesh.Endpoints == string(mesh.AutoForm) {
		c.Mesh.Endpoints = string(mesh.InlineForm)
	}
	if c.Limits.Objects == defaultObjects { // it protects the API server
		c.Limits.Objects = 0
	}
	c.Kubernetes.Shards = 0
	if c.Mesh.Endpoints != string(mesh.InlineForm) {
		c.Kubernetes.Shards = c.XDS.Shards
	}
	return c
}

// followForm derives the number of shards from the form of the endpoints, which can change at run time.
func (r *Reload) followForm() {
	r.Running = r.Running.ForXDS()
	r.Restart = slices.DeleteFunc(r.Restart, func(path string) bool { return path == "kubernetes.shards" })
}
