package config

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// XDS is how istiods are served by MCP over xDS.
type XDS struct {
	TLS          XDSTLS   `json:"tls" doc:"The server's TLS. The files are read again when they change. Without it plain text must be asked for, with --xds-plaintext."`
	Clients      []string `json:"clients" doc:"Who may read, where clientCAFile is set: subject alternative names of clients' certificates, as spiffe://cluster.local/ns/istio-system/sa/istiod. \"*\" is everyone whose certificate those authorities signed."`
	Shards       int      `json:"shards" doc:"Number of namespaces to spread services over where mesh.endpoints is workloadEntry, NAMESPACE-0 and so on; 0 is the one namespace. They need not exist in Kubernetes. inline has one namespace."`
	RemovalGrace Duration `json:"removalGrace" doc:"How long the ServiceEntry of a service that left stays, without endpoints. A service that returns meanwhile costs istiod no full push."`
}

// XDSTLS names the files of the server's TLS.
type XDSTLS struct {
	CertFile     string `json:"certFile" doc:"File with the server's certificate and its chain."`
	KeyFile      string `json:"keyFile" doc:"File with the server's key."`
	ClientCAFile string `json:"clientCAFile" doc:"File with the authorities that sign clients' certificates. Empty: clients show none, and whoever reaches the port may read. An istiod of today shows none."`
}

func (x XDS) validate(found *checks) {
	const at = "xds."
	if (x.TLS.CertFile == "") != (x.TLS.KeyFile == "") {
		found.fail(at+"tls", "certFile and keyFile go together")
	}
	if x.TLS.ClientCAFile != "" && x.TLS.CertFile == "" {
		found.fail(at+"tls.clientCAFile", "it needs certFile and keyFile too")
	}
	if x.TLS.ClientCAFile != "" && len(x.Clients) == 0 {
		found.fail(at+"clients", `it is empty, so nobody may read; name the clients' identities, or "*" for all that clientCAFile signed`)
	}
	if x.TLS.ClientCAFile == "" && len(x.Clients) > 0 {
		found.fail(at+"clients", "without tls.clientCAFile no client shows who it is")
	}
	for i, client := range x.Clients {
		if client == "" {
			found.fail(fmt.Sprintf("%sclients[%d]", at, i), "it is empty")
		}
	}
	if x.Shards < 0 || x.Shards > 1000 {
		found.fail(at+"shards", "%d is not within 0 and 1000", x.Shards)
	}
	if x.RemovalGrace < 0 {
		found.fail(at+"removalGrace", "%s is negative", x.RemovalGrace)
	}
}

// ForXDS returns the configuration as it holds where the output is xds: endpoints are inline unless the configuration
// says otherwise, which costs istiod half of what WorkloadEntries do; and those are spread over namespaces, since
// istiod's work on one namespace grows with services times instances.
func (c Config) ForXDS() Config {
	c.Mesh.Endpoints = cmp.Or(c.Mesh.Endpoints, string(mesh.InlineForm))
	c.Kubernetes.Shards = 0
	if c.Mesh.Endpoints == string(mesh.WorkloadEntryForm) {
		c.Kubernetes.Shards = c.XDS.Shards
	}
	return c
}

// followForm has the shards follow the form of the endpoints, which may change while isthmus runs.
func (r *Reload) followForm() {
	r.Running = r.Running.ForXDS()
	r.Restart = slices.DeleteFunc(r.Restart, func(path string) bool { return path == "kubernetes.shards" })
}
