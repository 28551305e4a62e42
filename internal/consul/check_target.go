package consul

import (
	"cmp"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// checksOf returns the service's own checks with the ports that they test, sorted and unique. The checks of a node are not
// hints to a service's protocol.
func checksOf(serviceID string, checks api.HealthChecks) []catalog.Check {
	var own []catalog.Check
	for _, check := range checks {
		if check == nil || check.ServiceID == "" || !strings.EqualFold(check.ServiceID, serviceID) {
			continue
		}
		if c := checkOf(check); c.Type != "" {
			own = append(own, c)
		}
	}
	slices.SortFunc(own, catalog.Check.Compare)
	return slices.Compact(own)
}

// checkOf returns the type and the target of a check. Agents leave the Definition empty (hashicorp/consul#1680) and put the
// target into the Output:
//
//	http    HTTP GET http://10.0.0.1:8080/health: 200 OK Output: ...    Get "http://10.0.0.1:8080/health": ...
//	tcp     TCP connect 10.0.0.1:8080: Success                          dial tcp 10.0.0.1:8080: ...
//	        TCP+TLS connect 10.0.0.1:8080: Success
//	grpc    gRPC check 10.0.0.1:8080/service: success
//	h2ping  HTTP2 ping was successful                                   Failed to dial to 10.0.0.1:8080: ...
//	udp     UDP connect 10.0.0.1:8080: Success
//
// An agent registers a check before it runs it; until then the port is unknown.
func checkOf(check *api.HealthCheck) catalog.Check {
	c := targetOfDefinition(check.Definition)
	if c.Port == 0 {
		c = targetOfOutput(check.Output)
	}
	c.Type = cmp.Or(strings.ToLower(check.Type), c.Type)
	return c
}

// targetOfDefinition returns the target in the definition of a check.
func targetOfDefinition(d api.HealthCheckDefinition) catalog.Check {
	switch {
	case d.HTTP != "":
		return urlTarget(d.HTTP)
	case d.GRPC != "":
		return catalog.Check{Type: "grpc", Port: portOf(d.GRPC), TLS: d.GRPCUseTLS}
	case d.TCP != "":
		return catalog.Check{Type: "tcp", Port: portOf(d.TCP), TLS: d.TCPUseTLS}
	case d.UDP != "":
		return catalog.Check{Type: "udp", Port: portOf(d.UDP)}
	default:
		return catalog.Check{}
	}
}

// targetOfOutput returns the target in the output of a check.
func targetOfOutput(output string) catalog.Check {
	first, rest, _ := strings.Cut(output, " ")
	if quoted, ok := strings.CutPrefix(rest, `"`); ok && isMethod(first) {
		target, _, _ := strings.Cut(quoted, `"`)
		return urlTarget(target)
	}
	if strings.HasPrefix(rest, "http") && isMethod(first) { // before Go 1.14
		target, _, _ := strings.Cut(rest, ": ")
		return urlTarget(target)
	}
	for _, form := range []struct {
		prefix string
		check  catalog.Check
	}{
		{"TCP connect ", catalog.Check{Type: "tcp"}},
		{"TCP+TLS connect ", catalog.Check{Type: "tcp", TLS: true}},
		{"dial tcp ", catalog.Check{Type: "tcp"}},
		{"gRPC check ", catalog.Check{Type: "grpc"}},
		{"UDP connect ", catalog.Check{Type: "udp"}},
		{"Failed to dial to ", catalog.Check{Type: "h2ping"}},
	} {
		if target, ok := strings.CutPrefix(output, form.prefix); ok {
			target, _, _ = strings.Cut(target, " ")
			form.check.Port = portOf(strings.TrimSuffix(target, ":"))
			return form.check
		}
	}
	if first == "HTTP" {
		_, target, _ := strings.Cut(rest, " ")
		target, _, _ = strings.Cut(target, " ")
		return urlTarget(strings.TrimSuffix(target, ":"))
	}
	return catalog.Check{}
}

// isMethod reports whether a word is an HTTP method as Go's client writes it in errors: Get, Head, Post.
func isMethod(word string) bool {
	return slices.Contains([]string{"Get", "Head", "Post", "Put", "Patch", "Delete", "Options"}, word)
}

// urlTarget returns the target of an HTTP check.
func urlTarget(text string) catalog.Check {
	target, err := url.Parse(text)
	if err != nil {
		return catalog.Check{}
	}
	c := catalog.Check{Type: "http"}
	defaultPort := 80
	switch strings.ToLower(target.Scheme) {
	case "http":
	case "https":
		c.TLS, defaultPort = true, 443
	default:
		return catalog.Check{}
	}
	if c.Port = defaultPort; target.Port() != "" {
		c.Port = portNumber(target.Port())
	}
	return c
}

// portOf returns the port of a target "host:port" or "host:port/service"; 0 if there is none.
func portOf(target string) int {
	target, _, _ = strings.Cut(target, "/")
	_, port, err := net.SplitHostPort(target)
	if err != nil {
		return 0
	}
	return portNumber(port)
}

// portNumber parses a port; the result is 0 if the port is invalid.
func portNumber(text string) int {
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return int(number)
}
