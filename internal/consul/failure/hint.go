package failure

const policy = `a token with node_prefix "" { policy = "read" } and service_prefix "" { policy = "read" }`

// hints is the table of hints. docs/troubleshoot.md repeats it word for word, and a test compares them.
var hints = map[Reason]string{
	Unreachable: "check the address, port and TLS settings of Consul and that its agent runs",
	Timeout:     "check the network to Consul and the load of its agent",
	ServerError: "check that the Consul servers run and have a leader",
	Denied:      "use " + policy + "; check that the token exists and has not expired",
	Limited:     "set fewer connections here, or raise limits.http_max_conns_per_client in the Consul agent",
	TooLarge:    "find the service with the large registrations; until then its last known state stays, and other services are not affected",
	OverLimit:   "find the team that registers so much; raise the limit in limits, and the memory with it; until then, new services wait and others are served",
	Unexpected:  "check that the address is the HTTP API of a Consul agent",
	Anonymous: "use " + policy + "; a token that is local to one datacenter is not valid in another, " +
		"so connect to an agent of that datacenter",
	Filtered:              "use " + policy + "; until then, hidden services and instances are neither added nor removed",
	StaleServer:           "check that the Consul servers reach each other and have a leader",
	IndexUninitialized:    "no action if Consul has just started; otherwise check that the agent reaches its servers and that the token is valid",
	IndexBackwards:        "no action if a snapshot was restored; otherwise check that the address leads to one datacenter only",
	IndexUnchanged:        "no action unless it lasts; then check whether the policies of the token were narrowed",
	NotBlocking:           "check that no cache or proxy in front of Consul answers or cuts blocking queries",
	InvalidName:           "register the service under another name",
	BadFilter:             "fix services.filter and restart",
	CredentialsUnreadable: "provide a readable and complete file; until then the previous content of the file is used",
}

// Hint returns the action that ends a failure.
func Hint(r Reason) string { return hints[r] }
