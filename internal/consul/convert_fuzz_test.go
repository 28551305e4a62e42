package consul

import (
	"encoding/json"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/mesh/meshtest"
)

// FuzzAnswer verifies that no response of Consul makes the code that reads, converts or translates it panic, and that
// each instance is either carried over or named in a finding.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(instances("web", "n1/web-1", "n1/web-2", "N1/WEB-1")), true)
	for _, entry := range []string{
		`null`, `{}`, `{"Node": null, "Service": {}}`, `{"Node": {}, "Service": {"Service": "web"}}`,
		`{"Node": {"Node": "n", "Address": "127.0.0.1", "Meta": {"zone": "\ud800"}}, "Service": {"ID": "a", "Service": "web", "Port": 70000}}`,
		`{"Node": {"Node": "n", "Datacenter": "forged"}, "Service": {"ID": "a", "Service": "web", "Address": "::ffff:169.254.169.254", "Port": 80,
		  "Tags": ["security.istio.io/tlsMode=istio", "=", "\u0000=x"], "Meta": {"app": "bank", "": "x"}, "Weights": {"Passing": -1, "Warning": 9223372036854775807}}}`,
		`{"Node": {"Node": "n"}, "Service": {"ID": "a", "Service": "web", "Address": "vm", "Ports": [{"Name": "a", "Port": -1, "Default": true}],
		  "Locality": {"Region": "a/b", "Zone": "*"}}, "Checks": [null, {"ServiceID": "a", "Type": "grpc", "Status": "?"}]}`,
	} {
		f.Add([]byte("["+entry+"]"), false)
	}
	bothForms := meshtest.Cases()[:2]
	f.Fuzz(func(t *testing.T, body []byte, inline bool) {
		var entries []*api.ServiceEntry
		if json.Unmarshal(body, &entries) != nil {
			return
		}
		c := bothForms[0]
		if inline {
			c = bothForms[1]
		}
		c.Service = convert(webKey, "dc1", entries, "")
		resources, findings := mesh.Translate(c.Service, mesh.Name{Source: webKey.Source, Label: webKey.Name}, c.Options)
		if resources.Broken {
			t.Fatalf("unexpected findings %+v", findings)
		}
		if len(c.Service.Instances) > 0 && len(resources.Objects) == 0 && len(findings) == 0 {
			t.Errorf("%d instances are missing, and no finding names them", len(c.Service.Instances))
		}
	})
}
