// Package config defines the configuration file: its types, defaults and validation. The reference page is generated
// from the tags of the types.
package config

// Config is the configuration of a process.
type Config struct {
	Sources          []Source         `json:"sources" doc:"Consul datacenters to read, one entry each. A failure of one source doesn't affect the others. Hosts without a datacenter belong to the first source."`
	Mesh             Mesh             `json:"mesh" reload:"now" doc:"Translation of services to Istio objects."`
	VirtualAddresses VirtualAddresses `json:"virtualAddresses" doc:"Ranges of virtual addresses. Each service gets one address of each range, in its ServiceEntry. TCP services and the DNS server need them."`
	DNS              DNS              `json:"dns" doc:"DNS server."`
	Guard            Guard            `json:"guard" reload:"now" doc:"Protection against mass removals. Removals above these limits are held: the mesh keeps the last reported endpoints until they return to Consul or until you run isthmus release."`
	Limits           Limits           `json:"limits" doc:"Bounds for the memory and the work that registrations in Consul cause."`
	State            State            `json:"state" doc:"State that survives a restart, for outputs other than kube. Output kube keeps its state in the objects."`
	Kubernetes       Kubernetes       `json:"kubernetes" doc:"Kubernetes API, for output kube."`
	XDS              XDS              `json:"xds" doc:"MCP over xDS, for output xds. The namespaces of the objects derive from kubernetes.namespace."`
	Admin            Admin            `json:"admin" doc:"Server for metrics, health, readiness and status. It is read-only and needs no authentication."`
	Log              Log              `json:"log" doc:"Log, written to standard error."`
}

// Source is one Consul datacenter.
type Source struct {
	Name            string   `json:"name" doc:"Name of the source. It is part of the names of objects, and a label on them. A DNS label."`
	Address         string   `json:"address" doc:"Address of a Consul agent: host:port, http://host:port, https://host:port or unix:///path. Empty: CONSUL_HTTP_ADDR, then 127.0.0.1:8500."`
	Datacenter      string   `json:"datacenter" doc:"Datacenter to read. Empty: the datacenter of the agent."`
	Domain          string   `json:"domain" doc:"Domain of Consul's DNS for this source. Empty: mesh.domain."`
	Region          string   `json:"region" reload:"now" doc:"Region of the instances that declare none, as the nodes of the cluster name it in topology.kubernetes.io/region. Empty: the name of the datacenter."`
	Zone            string   `json:"zone" reload:"now" doc:"Zone of the instances that declare none, as the nodes of the cluster name it in topology.kubernetes.io/zone. For a datacenter within one zone."`
	Merge           bool     `json:"merge" doc:"Merge services that have the same name in all sources with merge and the same domain. A merged service has the host NAME.service.DOMAIN and the endpoints of all its sources, with their localities."`
	TokenFile       string   `json:"tokenFile" doc:"File with the ACL token. It is reloaded when it changes. Empty: CONSUL_HTTP_TOKEN_FILE, then CONSUL_HTTP_TOKEN."`
	TLS             TLS      `json:"tls" doc:"TLS to the agent, for https addresses. The files are reloaded when they change. Empty entries default to Consul's environment variables."`
	Connections     int      `json:"connections" doc:"Maximum number of concurrent HTTP requests to the agent over plain HTTP, including blocking queries. By default, Consul allows 200 connections from one address, shared by all clients (limits.http_max_conns_per_client). If a source has more services than connections, changes of services that rarely change are detected later: within tens of milliseconds for 100 services, within seconds for 10,000."`
	AddressTag      string   `json:"addressTag" doc:"Tagged address of instances that callers use, for example wan, wan_ipv4 or lan_ipv6: the instance's, with its port, else the one of the node if the instance has the node's address, else the normal address. Empty: the normal address."`
	Network         string   `json:"network" doc:"Network of the instances, in a mesh of several networks. Callers of other networks reach them through the east-west gateway of this network. mesh.networks has precedence. Empty: none, callers connect directly."`
	Wait            Duration `json:"wait" doc:"Wait time of a blocking query, with 20 % jitter. At most 8m."`
	ServiceDefaults bool     `json:"serviceDefaults" doc:"Read the protocols of services from Consul's config entries of the kind service-defaults. A protocol in the meta or tags of an instance has precedence; checks and port numbers do not. It takes one of the connections."`
	Services        Services `json:"services" reload:"now" doc:"Selection of services and instances. Empty: all. Instances with isthmus: false in their meta are always left out."`
}

// Services selects services and instances of a source.
type Services struct {
	Include      []string `json:"include" doc:"Globs of service names to include: * matches any characters, ? matches one. Empty: all. Services that their name excludes cause no queries."`
	Exclude      []string `json:"exclude" doc:"Globs of service names to exclude. Takes precedence over include."`
	WithTags     []string `json:"withTags" doc:"Globs of tags. An instance is included only if each glob matches one of its tags."`
	WithoutTags  []string `json:"withoutTags" doc:"Globs of tags. An instance is excluded if a glob matches one of its tags."`
	IncludeKinds []string `json:"includeKinds" doc:"Kinds of instances to include that are left out by default: udp (the port is a UDP port), connect_native (the port accepts only the mutual TLS of Consul's mesh), connect_sidecar (only a transparent proxy of Consul's mesh may call the port), kubernetes_sync (catalog sync copied a Service of a Kubernetes cluster). An instance with isthmus: true in its meta is included whatever its kind."`
	Filter       string   `json:"filter" reload:"restart" doc:"Filter expression of Consul for instances, as for /v1/health/service: Service.Meta.team == \"blue\" and Node.Meta.zone != \"lab\". Consul validates it at the start."`
}

// TLS configures TLS to a Consul agent.
type TLS struct {
	CAFile     string `json:"caFile" doc:"File with the CA certificates. Empty: CONSUL_CACERT."`
	CertFile   string `json:"certFile" doc:"File with the client certificate. Empty: CONSUL_CLIENT_CERT."`
	KeyFile    string `json:"keyFile" doc:"File with the key of the client certificate. Empty: CONSUL_CLIENT_KEY."`
	ServerName string `json:"serverName" doc:"Expected name in the certificate of the agent. Empty: CONSUL_TLS_SERVER_NAME, then the host of the address."`
}

// Mesh configures the translation of services to Istio objects.
type Mesh struct {
	Domain           string            `json:"domain" reload:"restart" doc:"Domain of Consul's DNS. The first host of a service is NAME.service.DOMAIN. With several sources, NAME.service.DATACENTER.DOMAIN is a host too."`
	ClusterDomain    string            `json:"clusterDomain" doc:"Domain of the Kubernetes cluster. Services never get hosts in this domain."`
	Hosts            []string          `json:"hosts" doc:"Templates of additional hosts: text with exactly one {{ .Name }}, and optionally {{ .Datacenter }} and {{ .Domain }}. \"{{ .Name }}\" is the bare name."`
	Endpoints        string            `json:"endpoints" doc:"Form of the endpoints. auto: inline for a service that has or had an instance in podRanges, workloadEntry for all others; with output xds, inline for all. workloadEntry: one WorkloadEntry for each instance. inline: all instances in the ServiceEntry, which costs the API server and istiod less in large catalogs. Empty: auto."`
	PodRanges        []string          `json:"podRanges" doc:"CIDR ranges that contain all addresses of pods with a sidecar. A WorkloadEntry with the address of such a pod takes away the per-port inbound configuration of its sidecar, so auto writes inline endpoints for these services, and workloadEntry reports them as findings. Empty: the private ranges 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10 and fc00::/7."`
	Networks         []Network         `json:"networks" doc:"Networks of instances by their IP addresses, in a mesh of several networks. Callers of other networks reach them through the east-west gateway of the network. Instances in none of the ranges have the network of their source."`
	DefaultProtocol  string            `json:"defaultProtocol" doc:"Protocol of services for which neither meta (protocol) nor checks name one: tcp, tls, https, http, http2, grpc, grpc-web, mongo, mysql or redis."`
	Ports            []Port            `json:"ports" doc:"Additional ports of instances, from the meta entries and tags NAME_port, NAME-port and NAME.port, in any case. They add to the ports of defaultPorts; an entry with the name of one of those replaces it."`
	DefaultPorts     bool              `json:"defaultPorts" doc:"Recognize the ports that widespread libraries register: {name: grpc, protocol: grpc} of gRPC servers, {name: management, protocol: http} of Spring Boot, and {name: dapr, protocol: grpc} of Dapr sidecars."`
	NativePort       bool              `json:"nativePort" doc:"Expose the port of the instances too, besides 80. Set it to false if instances have random ports."`
	TLSOrigination   []TLSRule         `json:"tlsOrigination" reload:"restart" doc:"Services to which Envoy originates TLS, so that callers use http://HOST/ without a port. The first matching entry applies. isthmus then writes DestinationRules and needs permission for them."`
	ExternalServices []ExternalService `json:"externalServices" doc:"Services outside of the mesh, as consul-esm and Terraform register them: MESH_EXTERNAL, with the name that they have outside. The first matching entry applies."`
	Health           string            `json:"health" doc:"Health of instances that receive traffic: passingAndWarning or passing."`

	ExportTo         []string `json:"exportTo" doc:"Namespaces that see the services: names of namespaces, . for the namespace of the service, * for all, ~ for none. Empty: the default of Istio's mesh configuration, normally all."`
	Rules            []Rule   `json:"rules" doc:"Per-service overrides. For each of namespace and exportTo, the first matching rule that sets it applies. A namespace that is not configured at the start requires a restart."`
	NamespaceChoices []string `json:"namespaceChoices" doc:"Namespaces that a service may choose with its meta entry isthmus-namespace, if no rule sets one. Names, not globs. A new namespace requires a restart."`

	Addresses    Addresses `json:"addresses" doc:"Allowed addresses of instances. Instances with other addresses are left out."`
	Labels       Labels    `json:"labels" doc:"Meta entries and tags that become labels."`
	TagHosts     []string  `json:"tagHosts" doc:"Globs of tags that get hosts of their own, as in Consul's DNS: TAG.NAME.service.DOMAIN has the instances of the service with the tag. At most 16 tags of a service. Each tag has a ServiceEntry and a virtual address."`
	MaxInstances int       `json:"maxInstances" doc:"Maximum number of instances of a service that receive traffic, at most 4096. Further instances are left out, in the order of their IDs."`
}

// Port is an additional named port of instances.
type Port struct {
	Name     string `json:"name" doc:"Name of the port, a DNS label."`
	Protocol string `json:"protocol" doc:"Protocol of the port, unless the instance sets NAME_protocol. Empty: mesh.defaultProtocol."`
	Number   int    `json:"number" doc:"Port for callers. 0: the ports of the instances, if they share at most two."`
}

// TLSRule configures TLS origination for some services.
type TLSRule struct {
	Services           []string `json:"services" doc:"Globs of service names, as in Consul."`
	Force              bool     `json:"force" doc:"Apply the entry also to services whose meta doesn't declare HTTPS with secure or protocol."`
	Protocol           string   `json:"protocol" doc:"Protocol of the callers: http, http2, grpc or tcp. Empty: http."`
	SNI                string   `json:"sni" doc:"Server name of the handshake. {{ .Name }} is the name of the service. Empty: the host."`
	SubjectAltNames    []string `json:"subjectAltNames" doc:"Accepted subject alternative names of the certificate. Empty: the SNI."`
	CACertificates     string   `json:"caCertificates" doc:"File with the CA certificates, in the filesystem of the callers' proxies. Empty: the system certificates of the proxy."`
	InsecureSkipVerify bool     `json:"insecureSkipVerify" doc:"Accept any certificate. Excludes subjectAltNames and caCertificates."`
}

// ExternalService configures some services outside of the mesh.
type ExternalService struct {
	Services      []string `json:"services" doc:"Globs of service names, as in Consul."`
	ExternalNodes bool     `json:"externalNodes" doc:"Apply the entry also to services whose instances are all on nodes with external-node: true in their meta."`
	Host          string   `json:"host" doc:"Name of the service outside, for example api.example.com. It is a further host of the service, and the SNI of tlsOrigination unless that entry sets sni. Requires the name of one service in services."`
}

// Addresses restricts the addresses of instances.
type Addresses struct {
	Allow []string `json:"allow" doc:"Ranges (10.0.0.0/8), IP addresses and globs of host names (*.example.com) to accept. Takes precedence over deny."`
	Deny  []string `json:"deny" doc:"Ranges, IP addresses and globs of host names to reject. Loopback, link-local and cloud metadata addresses and names, and names of the cluster, also in short form (web, web.default), are rejected by default."`
}

// Labels restricts the labels that come from meta entries and tags.
type Labels struct {
	Allow []string `json:"allow" doc:"Globs of label keys to accept, including reserved ones such as security.istio.io/tlsMode. Takes precedence over deny."`
	Deny  []string `json:"deny" doc:"Globs of label keys to reject. Keys under istio.io, kubernetes.io, k8s.io and x-k8s.io, istio, istio-* and k8s-app are rejected by default. isthmus always sets app, the canonical name and revision, and its own labels."`
}

// Rule overrides the placement of some services.
type Rule struct {
	Services    []string          `json:"services" doc:"Globs of service names, as in Consul."`
	Namespace   string            `json:"namespace" doc:"Namespace of the objects of the services. It replaces kubernetes.namespace and its shards."`
	ExportTo    []string          `json:"exportTo" doc:"Like mesh.exportTo."`
	Labels      map[string]string `json:"labels" doc:"Labels of the ServiceEntries of the services, for example istio.io/use-waypoint. For each key, the first matching rule that sets it applies."`
	Annotations map[string]string `json:"annotations" doc:"Annotations of the ServiceEntries of the services, for example networking.istio.io/traffic-distribution. For each key, the first matching rule that sets it applies."`
}

// Kubernetes configures the output kube.
type Kubernetes struct {
	Kubeconfig      string         `json:"kubeconfig" doc:"Kubeconfig file. Empty: KUBECONFIG, then the service account of the pod, then ~/.kube/config."`
	Namespace       string         `json:"namespace" doc:"Namespace of the objects, or the prefix of the namespaces of the shards. It is created if it doesn't exist and permissions allow it."`
	Shards          int            `json:"shards" doc:"Number of namespaces over which services are spread: NAMESPACE-0 and so on. 0: one namespace. istiod's work for a namespace grows with services times instances."`
	WritesPerSecond float64        `json:"writesPerSecond" doc:"Maximum rate of requests to the API server. 0: no limit, the API server's priority and fairness applies."`
	Writers         int            `json:"writers" doc:"Number of services that are written concurrently."`
	RemovalGrace    Duration       `json:"removalGrace" doc:"How long the ServiceEntry of a removed service stays, without endpoints. A service that returns within this time causes no full push in istiod."`
	LeaderElection  LeaderElection `json:"leaderElection" doc:"Leader election between replicas. Only the leader writes."`
}

// LeaderElection configures the leader election with a Lease.
type LeaderElection struct {
	Enabled       bool     `json:"enabled" doc:"Disable it only if there is never more than one replica."`
	Namespace     string   `json:"namespace" doc:"Namespace of the Lease. Empty: the namespace of the pod, then the namespace of the objects."`
	LeaseDuration Duration `json:"leaseDuration" doc:"How long other replicas wait before they take over from a leader that doesn't renew its lease."`
	RenewDeadline Duration `json:"renewDeadline" doc:"How long a leader that can't renew its lease keeps writing. Less than leaseDuration."`
	RetryPeriod   Duration `json:"retryPeriod" doc:"Time between two attempts to acquire or renew the lease."`
}

// Admin configures the server for metrics and probes.
type Admin struct {
	Address  string `json:"address" doc:"host:port to listen on. An empty host means all interfaces. Empty: :8080 in a pod, where probes and Prometheus connect from outside, and 127.0.0.1:8080 elsewhere."`
	Profiles bool   `json:"profiles" doc:"Serve /debug/pprof/ too."`
}

// Log configures the log.
type Log struct {
	Level  string `json:"level" reload:"now" doc:"debug, info, warn or error."`
	Format string `json:"format" doc:"text or json."`
}
