package consul

import (
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// TestUDP verifies which evidence makes a port a UDP port, and which evidence has precedence.
func TestUDP(t *testing.T) {
	type instance struct {
		service, id string
		tags        []string
		meta        map[string]string
		ports       []catalog.Port
		checks      []catalog.Check
	}
	check := func(kind string, port int) catalog.Check { return catalog.Check{Type: kind, Port: port} }
	for name, test := range map[string]struct {
		instance
		want bool
	}{
		"nothing":                         {instance{}, false},
		"registrator":                     {instance{id: "docker1:bind_dns_1:53:udp", tags: []string{"udp"}}, true},
		"registrator, TCP check":          {instance{id: "docker1:bind_dns_1:53:udp", checks: []catalog.Check{check("tcp", 53)}}, true},
		"registrator, TCP port":           {instance{id: "docker1:bind_dns_1:53"}, false},
		"docker":                          {instance{id: "bind-1-53/udp"}, true},
		"docker, TCP":                     {instance{id: "bind-1-53/tcp", tags: []string{"udp"}}, false},
		"tag":                             {instance{tags: []string{"logs", "UDP"}}, true},
		"tag with a port":                 {instance{tags: []string{"53/udp"}}, true},
		"tag with a port, reversed":       {instance{tags: []string{"udp/53"}}, true},
		"tag of an SRV record":            {instance{tags: []string{"_udp"}}, true},
		"tags for both":                   {instance{tags: []string{"tcp", "udp"}}, false},
		"tags for both, with ports":       {instance{tags: []string{"53/tcp", "53/udp"}}, false},
		"tag of another protocol":         {instance{tags: []string{"http", "udp"}}, false},
		"QUIC":                            {instance{tags: []string{"h3"}}, true},
		"tag with a word in it":           {instance{tags: []string{"udp-relay"}}, false},
		"tag with TCP check":              {instance{tags: []string{"udp"}, checks: []catalog.Check{check("tcp", 53)}}, true},
		"protocol in a tag":               {instance{tags: []string{"protocol=udp"}}, true},
		"protocol in a tag with a bar":    {instance{tags: []string{"proto|UDP"}}, true},
		"protocols in tags":               {instance{tags: []string{"protocol=udp", "protocol=tcp"}}, false},
		"protocol in meta":                {instance{meta: map[string]string{"Protocol": "udp4"}}, true},
		"transport in meta":               {instance{meta: map[string]string{"transport": "UDP"}}, true},
		"meta before tags":                {instance{meta: map[string]string{"protocol": "tcp"}, tags: []string{"udp"}}, false},
		"unknown protocol, tag":           {instance{meta: map[string]string{"protocol": "syslog"}, tags: []string{"udp"}}, true},
		"port in meta":                    {instance{meta: map[string]string{"port": "53/udp"}}, true},
		"key of another port":             {instance{meta: map[string]string{"metrics_protocol": "udp"}}, false},
		"URL":                             {instance{meta: map[string]string{"endpoint": "udp://10.0.0.1:53"}}, true},
		"URL of another port":             {instance{meta: map[string]string{"logs": "udp://10.0.0.9:514"}}, false},
		"Traefik":                         {instance{tags: []string{"traefik.enable=true", "traefik.udp.routers.statsd.entrypoints=statsd"}}, true},
		"Traefik, another prefix":         {instance{tags: []string{"edge.UDP.services.dns.loadbalancer.server.port=53"}}, true},
		"Traefik, both":                   {instance{tags: []string{"traefik.udp.routers.a.rule=x", "traefik.tcp.routers.b.rule=x"}}, false},
		"fabio":                           {instance{tags: []string{"urlprefix-:53 proto=udp"}}, true},
		"fabio, TCP":                      {instance{service: "dns-udp", tags: []string{"urlprefix-:53 proto=tcp"}}, false},
		"named default port":              {instance{ports: []catalog.Port{{Name: "dns-udp", Number: 53, Default: true}}}, true},
		"another named port":              {instance{ports: []catalog.Port{{Name: "dns", Number: 53, Default: true}, {Name: "dns-udp", Number: 53}}}, false},
		"check":                           {instance{checks: []catalog.Check{check("udp", 53)}}, true},
		"check that has not run":          {instance{checks: []catalog.Check{check("udp", 0)}}, true},
		"check of another port":           {instance{checks: []catalog.Check{check("udp", 9)}}, false},
		"checks for both":                 {instance{checks: []catalog.Check{check("tcp", 53), check("udp", 53)}}, false},
		"check, TCP check of other port":  {instance{checks: []catalog.Check{check("http", 80), check("udp", 53)}}, true},
		"name":                            {instance{service: "syslog-udp"}, true},
		"name, first word":                {instance{service: "udp_statsd"}, true},
		"Nomad's ID with the port's name": {instance{id: "_nomad-task-7c1e1-syslog-udp"}, true},
		"name with both":                  {instance{service: "tcp-udp"}, false},
		"name with TCP check":             {instance{service: "dns-udp", checks: []catalog.Check{check("tcp", 53)}}, false},
		"name with the word in it":        {instance{service: "udpate-service", id: "hudp"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			service := test.service
			if service == "" {
				service = "dns"
			}
			got := isUDP(service, catalog.Instance{
				ID: catalog.InstanceID{ServiceID: test.id}, Port: 53, Tags: test.tags, Meta: test.meta, Ports: test.ports, Checks: test.checks,
			})
			if got != test.want {
				t.Errorf("isUDP is %t", got)
			}
		})
	}
}
