package config

import (
	"strings"
	"testing"
)

func TestNamesAndAddresses(t *testing.T) {
	for content, want := range map[string]string{
		"virtualAddresses: {ipv4: '', ipv6: 'fd12:3456:789a:1::/64', keep: 1m}\ndns: {address: ':53', ttl: 0s, forward: [{servers: ['127.0.0.1:8600']}], domains: [shop.example]}": "",
		"virtualAddresses: {ipv4: '', ipv6: ''}\ndns: {address: ':53', answer: instances}":                                                                                         "",
		"virtualAddresses: {ipv4: '', ipv6: ''}\ndns: {address: ':53'}":                                                                                                            "dns.answer: there are no virtual addresses to answer with",
		"virtualAddresses: {ipv4: 'fd00::/64'}":                             "virtualAddresses.ipv4: \"fd00::/64\" is not a range",
		"virtualAddresses: {ipv6: '10.0.0.0/8'}":                            "virtualAddresses.ipv6: \"10.0.0.0/8\" is not a range",
		"virtualAddresses: {ipv4: '10.0.0.1/8'}":                            "virtualAddresses.ipv4: 10.0.0.1/8 is not the first address of a range; use 10.0.0.0/8",
		"virtualAddresses: {ipv4: '127.0.0.0/8'}":                           "virtualAddresses.ipv4: 127.0.0.0/8 contains loopback",
		"virtualAddresses: {keep: 59s}":                                     "virtualAddresses.keep: 59s is less than 1m",
		"dns: {address: '53'}":                                              "dns.address: \"53\" is not host:port",
		"dns: {answer: all}":                                                "dns.answer: \"all\" is not one of virtual, instances",
		"dns: {ttl: 1500ms}":                                                "dns.ttl: 1.5s is not within",
		"dns: {maxAmplification: 1}":                                        "dns.maxAmplification: 1 is not within 2 and 100; set 4, or 0 for no limit",
		"dns: {maxAmplification: 0}":                                        "",
		"dns: {negativeTTL: 25h}":                                           "dns.negativeTTL: 25h is not within",
		"dns: {domains: [svc.cluster.local]}":                               "dns.domains[0]: \"svc.cluster.local\" is under the cluster's own domain",
		"dns: {forward: [{servers: [consul]}]}":                             "dns.forward[0].servers[0]: \"consul\" is not host:port",
		"dns: {forward: [{domain: east.Consul}]}":                           "dns.forward[0].servers: at least one server is required",
		"dns: {forward: [{domain: example.com, servers: ['10.0.0.1:53']}]}": "dns.forward[0].domain: \"example.com\" is not under a domain of the sources: consul",
		"dns: {forward: [{servers: ['10.0.0.1:53']}, {domain: consul, servers: ['10.0.0.2:53']}]}": "dns.forward[1].domain: \"consul\" is a duplicate",
		"virtualAddresses: {keep: 1h}\nxds: {removalGrace: 90m}":                                   "virtualAddresses.keep: 1h is less than xds.removalGrace, 1h30m: an address would be reused",
		"kubernetes: {removalGrace: 25h}":                                                          "virtualAddresses.keep: 24h is less than kubernetes.removalGrace, 25h",
	} {
		_, err := Parse([]byte(content))
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", content, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %s", content, err, want)
		}
	}
}
