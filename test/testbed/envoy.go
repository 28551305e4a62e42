package testbed

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Envoy is a running Envoy that acts as the sidecar of a consumer.
type Envoy struct {
	*Process
	// Proxy is the URL of the forward proxy, for curl -x. The routes that Istio makes for a forward proxy differ from
	// those of a captured connection: a VirtualService must name the port if a service has several. In a pod only
	// programs of the pod reach it.
	Proxy *url.URL
	// Admin is the URL of the admin pages.
	Admin string

	// capture is the port for connections that iptables would redirect in a pod.
	capture string
	// pod is the pod of this Envoy, if any. In a pod the kernel redirects all outgoing connections to Envoy.
	pod *Pod
}

// consumerNamespace is the namespace of the consumer.
const consumerNamespace = "default"

// StartEnvoy starts Envoy as a sidecar in mode REDIRECT with a forward proxy, which needs no root, and waits until it
// listens. Its address is 127.0.0.1. It reports the further addresses to istiod.
func (r *Run) StartEnvoy(ctx context.Context, istiod *Istiod, more ...string) (*Envoy, error) {
	path, err := Binary(EnvoyBinary)
	if err != nil {
		return nil, err
	}
	e, config, err := r.newEnvoy(istiod, append([]string{"127.0.0.1"}, more...)...)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(r.dir, "envoy.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	if e.Process, err = r.Start("envoy", path, nil, envoyArguments(file)...); err != nil {
		return nil, err
	}
	return e, e.ready(ctx, func(ctx context.Context) error {
		if err := getOK(ctx, e.Admin+"/ready"); err != nil {
			return err
		}
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", e.Proxy.Host)
		if err != nil {
			return err
		}
		return connection.Close()
	})
}

// newEnvoy returns an Envoy for the first of the addresses, and its configuration.
func (r *Run) newEnvoy(istiod *Istiod, addresses ...string) (*Envoy, []byte, error) {
	address := addresses[0]
	var admin, proxy, capture int
	if err := fillPorts(&admin, &proxy, &capture); err != nil {
		return nil, nil, err
	}
	config, err := bootstrap(istiod.XDS, addresses, admin, proxy, capture)
	at := func(port int) string { return net.JoinHostPort(address, strconv.Itoa(port)) }
	return &Envoy{
		Admin: "http://" + at(admin), Proxy: &url.URL{Scheme: "http", Host: loopback(proxy)}, capture: at(capture),
	}, config, err
}

func envoyArguments(file string) []string {
	return []string{"-c", file, "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning"}
}

// Client returns a client whose requests go through Envoy as if iptables had captured them. In a pod iptables does.
// Each request has a connection of its own.
func (e *Envoy) Client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: e.dial, DisableKeepAlives: true}}
}

// anyAddress is the address that a name of the mesh resolves to. For HTTP only the port matters.
const anyAddress = "240.240.0.1"

func (e *Envoy) dial(ctx context.Context, network, destination string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(destination)
	if err != nil {
		return nil, err
	}
	family, source := "TCP4", "127.0.0.1"
	switch ip, err := netip.ParseAddr(host); {
	case err != nil:
		host = anyAddress
	case ip.Is6():
		family, source = "TCP6", "::1"
	}
	if e.pod != nil {
		return e.pod.dial(ctx, network, net.JoinHostPort(host, port))
	}
	connection, err := (&net.Dialer{}).DialContext(ctx, network, e.capture)
	if err != nil {
		return nil, err
	}
	own := connection.LocalAddr().(*net.TCPAddr).Port
	if _, err := fmt.Fprintf(connection, "PROXY %s %s %s %d %s\r\n", family, source, host, own, port); err != nil {
		connection.Close()
		return nil, err
	}
	return connection, nil
}

// Endpoint is an endpoint of a cluster of Envoy.
type Endpoint struct {
	Address string
	Port    int
	Weight  int
	Region  string
	Zone    string
	// Connections is the number of connections that Envoy has opened to the endpoint.
	Connections int
}

// Endpoints returns the endpoints of a cluster, sorted by address and port, or none if Envoy does not have the cluster.
// The name has the form of Istio, for example "outbound|80||student-service.service.consul".
func (e *Envoy) Endpoints(ctx context.Context, cluster string) ([]Endpoint, error) {
	var page struct {
		Clusters []struct {
			Name  string `json:"name"`
			Hosts []struct {
				Address struct {
					Socket struct {
						Address string `json:"address"`
						Port    int    `json:"port_value"`
					} `json:"socket_address"`
				} `json:"address"`
				Weight int `json:"weight"`
				Stats  []struct {
					Name  string `json:"name"`
					Value string `json:"value"`
				} `json:"stats"`
				Locality struct {
					Region string `json:"region"`
					Zone   string `json:"zone"`
				} `json:"locality"`
			} `json:"host_statuses"`
		} `json:"cluster_statuses"`
	}
	if err := e.getJSON(ctx, "/clusters?format=json", &page); err != nil {
		return nil, err
	}
	endpoints := []Endpoint{}
	for _, c := range page.Clusters {
		if c.Name != cluster {
			continue
		}
		for _, h := range c.Hosts {
			connections := 0
			for _, stat := range h.Stats {
				if stat.Name == "cx_total" {
					connections, _ = strconv.Atoi(stat.Value) // Envoy omits the field if it is 0
				}
			}
			endpoints = append(endpoints, Endpoint{
				Address: h.Address.Socket.Address, Port: h.Address.Socket.Port, Weight: h.Weight,
				Region: h.Locality.Region, Zone: h.Locality.Zone, Connections: connections,
			})
		}
	}
	slices.SortFunc(endpoints, func(a, b Endpoint) int {
		return strings.Compare(a.Address+" "+strconv.Itoa(a.Port), b.Address+" "+strconv.Itoa(b.Port))
	})
	return endpoints, nil
}

// Listeners returns the names of the listeners. The name of a service with an address is ADDRESS_PORT.
func (e *Envoy) Listeners(ctx context.Context) (map[string]bool, error) {
	var page struct {
		Listeners []struct {
			Name string `json:"name"`
		} `json:"listener_statuses"`
	}
	if err := e.getJSON(ctx, "/listeners?format=json", &page); err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, listener := range page.Listeners {
		names[listener.Name] = true
	}
	return names, nil
}

func (e *Envoy) getJSON(ctx context.Context, page string, into any) error {
	body, err := get(ctx, e.Admin+page)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(into); err != nil {
		return fmt.Errorf("envoy's page %s: %w", page, err)
	}
	return nil
}
