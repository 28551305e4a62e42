package consul

import (
	"encoding/json"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/mesh/meshtest"
)

// FuzzAnswer holds that no answer of Consul's, whatever it says, makes what reads, converts and translates it panic, and
// that each instance is carried over or named.
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
		c.Service = convert(webKey, "dc1", entries)
		resources, findings := mesh.Translate(c.Service, mesh.Name{Source: webKey.Source, Label: webKey.Name}, c.Options)
		if resources.Broken {
			t.Fatalf("%+v", findings)
		}
		if len(c.Service.Instances) > 0 && len(resources.Objects) == 0 && len(findings) == 0 {
			t.Errorf("%d instances are gone, and nothing says so", len(c.Service.Instances))
		}
	})
}
