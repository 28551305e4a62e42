// Package config is the configuration file: its types, defaults and checks. The tags are the documentation: the
// reference page is made from them.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// Config is the whole configuration.
type Config struct {
	Sources          []Source         `json:"sources" doc:"The registries: one entry for each Consul datacenter. Each is read by itself; trouble with one delays no other. A host without a datacenter belongs to the first of them."`
	Mesh             Mesh             `json:"mesh" reload:"now" doc:"How services are translated."`
	VirtualAddresses VirtualAddresses `json:"virtualAddresses" doc:"Addresses that services are called at: one of each range for each service, in its ServiceEntry. Needed by TCP services, and by the DNS server."`
	DNS              DNS              `json:"dns" doc:"The DNS server."`
	Guard            Guard            `json:"guard" reload:"now" doc:"When a disappearance is believed. What exceeds these bounds is held: the mesh keeps the endpoints that Consul reported last, until Consul brings them back or somebody runs isthmus release."`
	State            State            `json:"state" doc:"What survives a restart, where the output isn't kube: there the objects themselves do."`
	Kubernetes       Kubernetes       `json:"kubernetes" doc:"The Kubernetes API that is written to, where the output is kube."`
	XDS              XDS              `json:"xds" doc:"MCP over xDS, where the output is xds. The base of the namespaces is kubernetes.namespace."`
	Admin            Admin            `json:"admin" doc:"The server for metrics, health and readiness. It changes nothing, and needs no authentication."`
	Log              Log              `json:"log" doc:"The log, on standard error."`
}

// Source is one Consul datacenter.
type Source struct {
	Name        string   `json:"name" doc:"Name of the registry: part of the objects' names, and a label on them. A DNS label."`
	Address     string   `json:"address" doc:"Address of a Consul agent: host:port, http://host:port, https://host:port or unix:///path. Empty: CONSUL_HTTP_ADDR, else 127.0.0.1:8500."`
	Datacenter  string   `json:"datacenter" doc:"Datacenter to read. Empty: the agent's own."`
	Domain      string   `json:"domain" doc:"Domain of this Consul's DNS. Empty: mesh.domain."`
	Merge       bool     `json:"merge" doc:"Make one service of what this source and others with merge, of the same domain, have under one name: one host, NAME.service.DOMAIN, and the endpoints of all with their localities."`
	TokenFile   string   `json:"tokenFile" doc:"File that holds the ACL token; read again when it changes. Empty: CONSUL_HTTP_TOKEN_FILE, else CONSUL_HTTP_TOKEN."`
	TLS         TLS      `json:"tls" doc:"TLS towards the agent, for https addresses. The files are read again when they change. What is empty is taken from Consul's own environment variables."`
	Connections int      `json:"connections" doc:"Most HTTP requests, waiting ones too, held at the agent at once over plain HTTP. Consul allows an address 200 connections by default (limits.http_max_conns_per_client), shared by all its clients. Where services outnumber the connections, changes of those that did not change lately are seen late: tens of milliseconds with 100 services, seconds with 10,000."`
	Wait        Duration `json:"wait" doc:"How long a blocking query waits for a change before it is asked again, a fifth more or less. At most 8m."`
	Services    Services `json:"services" reload:"now" doc:"Which services are watched, and which of their instances. Everything by default. An instance whose meta says isthmus: false is never taken."`
}

// Services is what is taken of a source.
type Services struct {
	Include     []string `json:"include" doc:"Globs of service names to take: * stands for any characters, ? for one. Empty: all. What is left out by its name costs Consul no query."`
	Exclude     []string `json:"exclude" doc:"Globs of service names to leave out. Goes before include."`
	WithTags    []string `json:"withTags" doc:"Globs of tags. An instance is taken if it has a tag for each of them."`
	WithoutTags []string `json:"withoutTags" doc:"Globs of tags. An instance that has a tag for one of them is left out."`
	Filter      string   `json:"filter" reload:"restart" doc:"Expression in Consul's own filter language that each instance must fit, as for /v1/health/service: Service.Meta.team == \"blue\" and Node.Meta.zone != \"lab\". Consul checks it at the start."`
}

// TLS names the files of a client's TLS.
type TLS struct {
	CAFile     string `json:"caFile" doc:"File with the certificates of the authorities to trust. Empty: CONSUL_CACERT."`
	CertFile   string `json:"certFile" doc:"File with the client's certificate. Empty: CONSUL_CLIENT_CERT."`
	KeyFile    string `json:"keyFile" doc:"File with the client's key. Empty: CONSUL_CLIENT_KEY."`
	ServerName string `json:"serverName" doc:"Name that the agent's certificate must have. Empty: CONSUL_TLS_SERVER_NAME, else the host of the address."`
}

// Mesh is how services are translated.
type Mesh struct {
	Domain          string    `json:"domain" reload:"restart" doc:"Domain of Consul's DNS. The first host of a service is NAME.service.DOMAIN; with several sources, NAME.service.DATACENTER.DOMAIN is one too."`
	ClusterDomain   string    `json:"clusterDomain" doc:"Domain of the Kubernetes cluster. No host is ever taken under it."`
	Hosts           []string  `json:"hosts" doc:"Templates of further hosts: text with {{ .Name }}, once, and with {{ .Datacenter }} and {{ .Domain }}; \"{{ .Name }}\" gives the bare name."`
	Endpoints       string    `json:"endpoints" doc:"workloadEntry: one WorkloadEntry for each instance. inline: all instances in the ServiceEntry, which costs the API server and istiod less in large catalogs. Empty: inline where the output is xds, else workloadEntry."`
	DefaultProtocol string    `json:"defaultProtocol" doc:"Protocol of services whose meta (protocol) and checks tell none: tcp, tls, https, http, http2, grpc, grpc-web, mongo, mysql or redis."`
	Ports           []Port    `json:"ports" doc:"Ports that instances have beside their own: NAME stands for the meta entries and tags NAME_port, NAME-port and NAME.port, in any case. By default those of gRPC servers and of Spring Boot's management: {name: grpc, protocol: grpc} and {name: management, protocol: http}, which what is said here replaces."`
	NativePort      bool      `json:"nativePort" doc:"Let callers use the instances' own port too, beside 80. Say false where instances get their ports by chance."`
	TLSOrigination  []TLSRule `json:"tlsOrigination" reload:"restart" doc:"Services to which Envoy speaks TLS for the callers, who say http://HOST/ without a port. Of several entries that fit a service the first counts. isthmus then writes DestinationRules too, and needs the right to."`
	Health          string    `json:"health" doc:"Instances that take traffic: passingAndWarning or passing."`

	ExportTo         []string `json:"exportTo" doc:"Namespaces that see the services: names of namespaces, or . for the service's own, * for all, ~ for none. Empty: what Istio's mesh configuration says, by default all."`
	Rules            []Rule   `json:"rules" doc:"What holds for some services. Of the rules that fit a service, the first one that says namespace or exportTo counts for it. A namespace that was not named at the start needs a restart."`
	NamespaceChoices []string `json:"namespaceChoices" doc:"Namespaces that a service may choose by its meta entry isthmus-namespace, where no rule places it. Names, no globs. One more needs a restart."`

	Addresses    Addresses `json:"addresses" doc:"Which addresses instances may have. An instance with another one is left out."`
	Labels       Labels    `json:"labels" doc:"Which meta entries and tags become labels."`
	MaxInstances int       `json:"maxInstances" doc:"Most instances of a service that take traffic, 4096 at most; more are left out, in the order of their IDs."`
}

// Port is a port that instances have beside their own.
type Port struct {
	Name     string `json:"name" doc:"Name of the port, a DNS label."`
	Protocol string `json:"protocol" doc:"What it speaks where an instance doesn't say it by NAME_protocol. Empty: mesh.defaultProtocol."`
	Number   int    `json:"number" doc:"Port for callers, whatever the instances' own. 0: the instances' own, while not more than two are shared."`
}

// TLSRule has Envoy speak TLS to some services.
type TLSRule struct {
	Services           []string `json:"services" doc:"Globs of service names as Consul has them."`
	Force              bool     `json:"force" doc:"Take services for HTTPS that don't say so themselves, by secure or protocol in their meta."`
	Protocol           string   `json:"protocol" doc:"What the callers speak: http, http2, grpc or tcp. Empty: http."`
	SNI                string   `json:"sni" doc:"Name to ask for in the handshake; {{ .Name }} stands for the service's. Empty: the host."`
	SubjectAltNames    []string `json:"subjectAltNames" doc:"Names of which the certificate must have one. Empty: the SNI."`
	CACertificates     string   `json:"caCertificates" doc:"File with the authorities to trust, at the callers' proxies. Empty: those of the proxy's system."`
	InsecureSkipVerify bool     `json:"insecureSkipVerify" doc:"Take any certificate. Not with subjectAltNames or caCertificates."`
}

// Addresses are rules on what instances may be registered with.
type Addresses struct {
	Allow []string `json:"allow" doc:"Ranges (10.0.0.0/8), IP addresses and globs of host names (*.example.com) to take, whatever else is said. Goes before deny."`
	Deny  []string `json:"deny" doc:"The same, to leave out. Loopback, link-local and cloud metadata addresses and names, and names of the cluster itself, are left out without being named here."`
}

// Labels are rules on what instances may be labelled with.
type Labels struct {
	Allow []string `json:"allow" doc:"Globs of label keys to take, reserved ones too, like security.istio.io/tlsMode. Goes before deny."`
	Deny  []string `json:"deny" doc:"Globs of label keys to leave out. Those under istio.io, kubernetes.io, k8s.io and x-k8s.io, istio, istio-* and k8s-app are left out without being named here; app, the canonical name and revision and isthmus's own are always isthmus's."`
}

// Rule is what holds for some services.
type Rule struct {
	Services  []string `json:"services" doc:"Globs of service names as Consul has them."`
	Namespace string   `json:"namespace" doc:"Namespace of the services' objects, in place of kubernetes.namespace and its shards."`
	ExportTo  []string `json:"exportTo" doc:"As mesh.exportTo."`
}

// Kubernetes is where the objects go.
type Kubernetes struct {
	Kubeconfig      string         `json:"kubeconfig" doc:"Kubeconfig file. Empty: KUBECONFIG, else the pod's own service account, else ~/.kube/config."`
	Namespace       string         `json:"namespace" doc:"Namespace of the objects, or the stem of the namespaces' names. Created where it isn't there, if that is allowed."`
	Shards          int            `json:"shards" doc:"Number of namespaces to spread services over, NAMESPACE-0 and so on. 0: the one namespace. istiod's work on one namespace grows with services times instances."`
	WritesPerSecond float64        `json:"writesPerSecond" doc:"Most requests a second to the API server. 0: no limit of ours; the API server's own priority and fairness decides."`
	Writers         int            `json:"writers" doc:"Number of services that are written at the same time."`
	RemovalGrace    Duration       `json:"removalGrace" doc:"How long the ServiceEntry of a service that left stays, without endpoints. A service that returns meanwhile costs istiod no full push."`
	LeaderElection  LeaderElection `json:"leaderElection" doc:"How replicas agree which of them writes."`
}

// LeaderElection is a leader election by Lease.
type LeaderElection struct {
	Enabled       bool     `json:"enabled" doc:"Off only where there is never more than one replica."`
	Namespace     string   `json:"namespace" doc:"Namespace of the Lease. Empty: the pod's own, else that of the objects."`
	LeaseDuration Duration `json:"leaseDuration" doc:"How long the others wait for a leader that is silent."`
	RenewDeadline Duration `json:"renewDeadline" doc:"How long a leader goes on that can't renew its lease. Less than leaseDuration."`
	RetryPeriod   Duration `json:"retryPeriod" doc:"Time between two tries to get or renew the lease."`
}

// Admin is the administrative server.
type Admin struct {
	Address  string `json:"address" doc:"host:port to listen on; an empty host means all interfaces."`
	Profiles bool   `json:"profiles" doc:"Serve /debug/pprof/ too."`
}

// Log is the log.
type Log struct {
	Level  string `json:"level" reload:"now" doc:"debug, info, warn or error."`
	Format string `json:"format" doc:"text or json."`
}

// SlogLevel returns the level. The configuration must be valid.
func (l Log) SlogLevel() slog.Level {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.Level))
	return level
}

// Default returns the configuration that holds where nothing is said.
func Default() Config {
	return Config{
		Sources: []Source{DefaultSource()},
		Mesh: Mesh{
			Domain: "consul", ClusterDomain: "cluster.local",
			DefaultProtocol: "http", Health: passingAndWarning,
			Ports: defaultPorts(), NativePort: true, MaxInstances: mesh.MaxInstances,
		},
		VirtualAddresses: VirtualAddresses{IPv4: "244.0.0.0/6", Keep: Duration(24 * time.Hour)},
		DNS:              DNS{Answer: AnswerVirtual, TTL: Duration(5 * time.Second), NegativeTTL: Duration(5 * time.Second)},
		Guard:            defaultGuard(),
		Kubernetes: Kubernetes{
			Namespace: "consul-services", Writers: 16, RemovalGrace: Duration(time.Minute),
			LeaderElection: LeaderElection{
				Enabled:       true,
				LeaseDuration: Duration(15 * time.Second), RenewDeadline: Duration(10 * time.Second), RetryPeriod: Duration(2 * time.Second),
			},
		},
		XDS:   XDS{Shards: 500, RemovalGrace: Duration(time.Minute)},
		Admin: Admin{Address: ":8080"},
		Log:   Log{Level: "info", Format: "text"},
	}
}

// DefaultSource returns what holds for a source where nothing is said.
func DefaultSource() Source {
	return Source{Name: "consul", Connections: 60, Wait: Duration(5 * time.Minute)}
}

// HasSource tells whether there is a source of that name.
func (c Config) HasSource(name string) bool {
	return slices.ContainsFunc(c.Sources, func(s Source) bool { return s.Name == name })
}

// Load reads a configuration file and checks it. Every error names the file and the entry.
func Load(path string) (Config, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	c, err := Parse(content)
	if err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

// Parse reads a configuration and checks it. An entry that isn't known is an error, so that no misspelt one is
// passed over.
func Parse(content []byte) (Config, error) {
	c := Default()
	if len(bytes.TrimSpace(content)) > 0 {
		if err := yaml.UnmarshalStrict(content, &c); err != nil {
			return Config{}, errors.New(plain(err))
		}
	}
	return c, c.Validate()
}

// UnmarshalJSON fills in the defaults of a source first.
func (s *Source) UnmarshalJSON(data []byte) error {
	type bare Source
	source := bare(DefaultSource())
	if err := strict(data, &source); err != nil {
		return err
	}
	*s = Source(source)
	return nil
}
