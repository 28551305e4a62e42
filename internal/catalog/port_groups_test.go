package catalog_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// registration returns an instance whose ID is its node, its port and an optional ID of Nomad.
func registration(address string, port int, tags ...string) catalog.Instance {
	return catalog.Instance{
		ID: catalog.InstanceID{Node: address, ServiceID: fmt.Sprint(port)}, Address: address, Port: port, Tags: tags,
	}
}

// nomad sets the ID that Nomad gives to a registration of an allocation.
func nomad(i catalog.Instance, allocation int, label string) catalog.Instance {
	i.ID.ServiceID = fmt.Sprintf("_nomad-task-%08x-6bc9-8da7-607c-1bd63b2a35df-group-web-web-%s", allocation, label)
	return i
}

func checked(i catalog.Instance, kind string) catalog.Instance {
	i.Checks = []catalog.Check{{Type: kind, Port: i.Port}}
	return i
}

func withMeta(i catalog.Instance, key, value string) catalog.Instance {
	i.Meta = map[string]string{key: value}
	return i
}

// at returns the same registrations at several addresses.
func at(addresses string, registrations func(address string) []catalog.Instance) (all []catalog.Instance) {
	for _, address := range strings.Fields(addresses) {
		all = append(all, registrations(address)...)
	}
	return all
}

// outline returns the endpoints of a service with their ports: "10.0.0.1:80 metrics=90".
func outline(instances []catalog.Instance) string {
	g := catalog.Group(instances)
	var lines []string
	for i, instance := range instances {
		if _, ok := g.Additional[i]; ok {
			continue
		}
		line := fmt.Sprintf("%s:%d", instance.Address, instance.Port)
		if name, ok := g.Unassigned[i]; ok {
			line = "no endpoint: " + line + " " + name
		}
		if _, ok := g.Superseded[i]; ok {
			line = "old: " + line
		}
		var ports []string
		for j, port := range g.Additional {
			if port.Main == i {
				ports = append(ports, fmt.Sprintf(" %s=%d", port.Name, instances[j].Port))
			}
		}
		slices.Sort(ports)
		lines = append(lines, line+strings.Join(ports, ""))
	}
	for _, i := range g.Alike {
		lines = append(lines, "alike: "+instances[i].Address)
	}
	for _, i := range g.Guessed {
		lines = append(lines, "guessed: "+instances[i].Address)
	}
	return strings.Join(lines, "; ")
}

// TestPortsOfAnEndpoint verifies which registrations are ports of one endpoint, and which port is the main one.
func TestPortsOfAnEndpoint(t *testing.T) {
	servers := func(a string) []catalog.Instance {
		return []catalog.Instance{registration(a, 4646, "http", "eu"), registration(a, 4647, "rpc", "eu"), registration(a, 4648, "serf", "eu")}
	}
	for name, test := range map[string]struct {
		instances []catalog.Instance
		want      string
	}{
		"tags": {at("a b", servers), "a:4646 rpc=4647 serf=4648; b:4646 rpc=4647 serf=4648"},
		"one lacks a port": {
			slices.Concat(at("a", servers), servers("b")[:2]), "a:4646 rpc=4647 serf=4648; b:4646 rpc=4647",
		},
		"one lacks the main port":       {slices.Concat(at("a", servers), servers("b")[1:]), "a:4646 rpc=4647 serf=4648; no endpoint: b:4647 rpc; no endpoint: b:4648 serf"},
		"one is alone":                  {slices.Concat(at("a", servers), servers("b")[:1]), "a:4646 rpc=4647 serf=4648; b:4646"},
		"one has no tag but the number": {slices.Concat(at("a", servers), []catalog.Instance{registration("b", 4647)}), "a:4646 rpc=4647 serf=4648; no endpoint: b:4647 rpc"},
		"one has neither":               {slices.Concat(at("a", servers), []catalog.Instance{registration("b", 999, "eu")}), "a:4646 rpc=4647 serf=4648; b:999; guessed: b"},
		"one is another port":           {slices.Concat(at("a", servers), []catalog.Instance{registration("b", 999, "grpc")}), "a:4646 rpc=4647 serf=4648; no endpoint: b:999 "},
		"one has another check": {
			[]catalog.Instance{checked(registration("a", 80, "http"), "http"), registration("a", 81, "rpc"), checked(registration("b", 999), "tcp")},
			"a:80 rpc=81; no endpoint: b:999 ",
		},
		"several cannot be told": {
			slices.Concat(at("a", servers), []catalog.Instance{registration("b", 998, "eu"), registration("b", 999, "eu")}),
			"a:4646 rpc=4647 serf=4648; no endpoint: b:998 ; no endpoint: b:999 ; alike: b",
		},
		"tools are not the main port": {at("a", func(a string) []catalog.Instance {
			return []catalog.Instance{checked(registration(a, 6379, "db"), "tcp"), checked(registration(a, 9121, "metrics"), "http")}
		}), "a:6379 metrics=9121"},
		"one has no tag": {at("a b", func(a string) []catalog.Instance {
			return []catalog.Instance{registration(a, 8080), registration(a, 9121, "prometheus")}
		}), "a:8080 prometheus=9121; b:8080 prometheus=9121"},
		"HTTP by its check": {at("a", func(a string) []catalog.Instance {
			return []catalog.Instance{checked(registration(a, 5671, "broker"), "tcp"), checked(registration(a, 8161, "console"), "http")}
		}), "a:8161 broker=5671"},
		"HTTP before HTTPS": {at("a", func(a string) []catalog.Instance {
			return []catalog.Instance{registration(a, 8080, "http"), registration(a, 8443, "https")}
		}), "a:8080 https=8443"},
		"cluster ports are not the main port": {at("a", func(a string) []catalog.Instance {
			return []catalog.Instance{registration(a, 2380, "peer"), registration(a, 2379, "zone-a-clients")}
		}), "a:2379 peer=2380"},
		"other case and separators": {slices.Concat(
			at("a", func(a string) []catalog.Instance {
				return []catalog.Instance{registration(a, 80, "HTTP"), registration(a, 81, "Node_Exporter")}
			}), at("b", func(a string) []catalog.Instance {
				return []catalog.Instance{registration(a, 80, "http"), registration(a, 81, "node-exporter")}
			})), "a:80 node-exporter=81; b:80 node-exporter=81"},
		"tags with a key": {at("a", func(a string) []catalog.Instance {
			return []catalog.Instance{registration(a, 8080, "protocol=http", "version=2"), registration(a, 9090, "protocol=grpc", "version=2")}
		}), "a:8080 grpc=9090"},
		"meta": {at("a", func(a string) []catalog.Instance {
			return []catalog.Instance{withMeta(registration(a, 8080), "protocol", "http"), withMeta(registration(a, 9090), "protocol", "grpc")}
		}), "a:8080 grpc=9090"},
		"checks": {at("a", func(a string) []catalog.Instance {
			return []catalog.Instance{checked(registration(a, 6379), "tcp"), checked(registration(a, 9121), "http")}
		}), "a:9121 tcp=6379"},
		"named by the registration": {at("a", func(a string) []catalog.Instance {
			return []catalog.Instance{withMeta(registration(a, 8080, "x"), catalog.PortKey, "main"), registration(a, 9090, "y", catalog.PortKey+"=blue")}
		}), "a:8080 blue=9090"},
		"named alike by the registration": {at("a", func(a string) []catalog.Instance {
			return []catalog.Instance{withMeta(registration(a, 8080, "x"), catalog.PortKey, "main"), withMeta(registration(a, 9090, "y"), catalog.PortKey, "main")}
		}), "a:8080; a:9090"},
		"roles and releases are instances": {at("a", func(a string) []catalog.Instance {
			return []catalog.Instance{
				registration(a, 8080, "web", "blue"), registration(a, 8081, "web", "green"), registration(a, 8082, "web", "canary"),
				registration(a, 8083, "web", "v1.2.3"), registration(a, 8084, "web", "worker-1"), registration(a, 8085, "web", "replica"),
				registration(a, 8086, "web", "version=3"), registration(a, 8087, "web", "eu-west-1a"), registration(a, 8088, "web", "traefik.enable=true"),
				registration(a, 8089, "web", "urlprefix-/x"), registration(a, 8090, "web", "3f786850e387550f"),
			}
		}), "a:8080; a:8081; a:8082; a:8083; a:8084; a:8085; a:8086; a:8087; a:8088; a:8089; a:8090"},
		"nothing tells them apart": {at("a b", func(a string) []catalog.Instance {
			return []catalog.Instance{registration(a, 8080, "web"), registration(a, 8081, "web")}
		}), "a:8080; a:8081; b:8080; b:8081; alike: a; alike: b"},
		"random ports": {at("a", func(a string) []catalog.Instance {
			return []catalog.Instance{registration(a, 32768, "web"), registration(a, 32769, "web")}
		}), "a:32768; a:32769"},
		"several instances at one address": {at("a", func(a string) []catalog.Instance {
			return []catalog.Instance{
				registration(a, 21001, "db"), registration(a, 21002, "db"), registration(a, 22001, "metrics"), registration(a, 22002, "metrics"),
			}
		}), "a:21001 metrics=22001; a:21002 metrics=22002"},
		"allocations": {at("a", func(a string) []catalog.Instance {
			return []catalog.Instance{
				nomad(registration(a, 21001, "db"), 1, "db"), nomad(registration(a, 22001, "metrics"), 1, "metrics"),
				nomad(registration(a, 20001, "db", "canary"), 2, "db"), nomad(registration(a, 20002, "metrics", "canary"), 2, "metrics"),
			}
		}), "a:21001 metrics=22001; a:20001 metrics=20002"},
		"labels of ports in allocations": {at("a", func(a string) []catalog.Instance {
			return []catalog.Instance{nomad(registration(a, 21001, "x"), 1, "db"), nomad(registration(a, 22001, "x"), 1, "metrics")}
		}), "a:21001 metrics=22001"},
		"allocations that share a node by chance": {at("a", func(a string) []catalog.Instance {
			return []catalog.Instance{nomad(registration(a, 21001, "internal"), 1, "db"), nomad(registration(a, 22001, "external"), 2, "db")}
		}), "a:21001; a:22001"},
		"an exporter in an allocation of its own": {at("a", func(a string) []catalog.Instance {
			return []catalog.Instance{nomad(registration(a, 21001), 1, "db"), nomad(registration(a, 22001, "metrics"), 2, "metrics")}
		}), "a:21001 metrics=22001"},
		"tags that mean something else": {
			slices.Concat(
				[]catalog.Instance{registration("a", 1, "north"), registration("a", 2, "south")},
				[]catalog.Instance{registration("b", 1, "east"), registration("c", 1, "west"), registration("d", 3, "south")},
			), "a:1; a:2; b:1; c:1; d:3",
		},
		"an older registration": {slices.Concat(at("a", servers), []catalog.Instance{func() catalog.Instance {
			i := registration("a", 4646, "http", "eu")
			i.ID.ServiceID = "z"
			return i
		}()}), "a:4646 rpc=4647 serf=4648; old: a:4646"},
		"restored": {
			[]catalog.Instance{registration("a", 4646, "tag.http=true", "tag.eu=true"), registration("a", 4647, "rpc", "eu")}, "a:4646 rpc=4647",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 5 { // the result must not depend on the order of maps
				if diff := cmp.Diff(test.want, outline(test.instances)); diff != "" {
					t.Fatalf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestGroupingCounts verifies that each registration is exactly one of: an endpoint, a port of an endpoint, superseded, or
// left out; and that the result does not depend on the order of the registrations or on their health.
func TestGroupingCounts(t *testing.T) {
	tags := []string{"http", "rpc", "metrics", "x", "blue", "v1", "isthmus-port=http"}
	for seed := range uint64(3000) {
		random := rand.New(rand.NewPCG(seed, 0))
		var instances []catalog.Instance
		for n := range random.IntN(9) {
			i := registration(fmt.Sprint("h", random.IntN(3)), 1+random.IntN(4))
			for range random.IntN(3) {
				i.Tags = append(i.Tags, tags[random.IntN(len(tags))])
			}
			i.ID.ServiceID = fmt.Sprint(n)
			if random.IntN(3) == 0 {
				i = nomad(i, random.IntN(2), fmt.Sprint("l", n))
			}
			instances = append(instances, i)
		}
		g := catalog.Group(instances)
		for i, port := range g.Additional {
			if _, also := g.Additional[port.Main]; also || instances[i].Address != instances[port.Main].Address {
				t.Fatalf("seed %d: %d is a port of %d", seed, i, port.Main)
			}
		}
		catalog.MarkEndpoints(instances)
		want := len(instances) - len(g.Superseded) - len(g.Additional) - len(g.Unassigned)
		if got := (catalog.Service{Instances: instances}).Endpoints(); got != want || len(instances) > 0 && got == 0 {
			t.Fatalf("seed %d: %d endpoints of %d registrations, want %d", seed, got, len(instances), want)
		}
		shuffled := slices.Clone(instances)
		random.Shuffle(len(shuffled), func(i, j int) {
			shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
			shuffled[i].Health, shuffled[j].Health = catalog.Passing, catalog.Critical
		})
		slices.SortFunc(shuffled, func(a, b catalog.Instance) int { return a.ID.Compare(b.ID) })
		slices.SortFunc(instances, func(a, b catalog.Instance) int { return a.ID.Compare(b.ID) })
		if got, want := outline(shuffled), outline(instances); got != want {
			t.Fatalf("seed %d:\n%s\n%s", seed, got, want)
		}
	}
}

// TestGroupingIsBounded verifies that many registrations at one address are grouped in linear time.
func TestGroupingIsBounded(t *testing.T) {
	var instances []catalog.Instance
	for port := range 60000 {
		instances = append(instances, registration("a", port+1, []string{"http", "metrics", "x-" + fmt.Sprint(port%3)}[port%3]))
	}
	g := catalog.Group(instances)
	if got := slices.Collect(maps.Values(g.Additional)); len(got) == 0 {
		t.Error("no additional ports")
	}
}
