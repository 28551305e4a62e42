package config

import (
	"strings"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

func TestTLSOrigination(t *testing.T) {
	c, err := Parse([]byte(`mesh: {tlsOrigination: [
	  {services: ["pay-*"], force: true, protocol: grpc, sni: "{{ .Name }}.example.com", subjectAltNames: [x.example.com], caCertificates: /ca.pem},
	  {services: ["*"], insecureSkipVerify: true},
	]}`))
	if err != nil {
		t.Fatal(err)
	}
	options, err := c.MeshOptions()
	if err != nil {
		t.Fatal(err)
	}
	first, last := options.TLSOrigination[0], options.TLSOrigination[1]
	if first.Protocol != mesh.GRPC || !first.Force || first.CACertificates != "/ca.pem" || len(first.SubjectAltNames) != 1 {
		t.Errorf("the first is %+v", first)
	}
	if last.Protocol != mesh.HTTP || last.Force || !last.InsecureSkipVerify {
		t.Errorf("the last is %+v", last)
	}
}

func TestTLSOriginationThatCannotBe(t *testing.T) {
	for content, want := range map[string]string{
		"{}":                               `mesh.tlsOrigination[0].services: empty, so the entry matches no service`,
		"{services: [a], protocol: redis}": `mesh.tlsOrigination[0].protocol: "redis" is not one of http, http2, grpc, tcp`,
		"{services: [a], sni: a_b}":        `mesh.tlsOrigination[0].sni: "a_b" is not a host name`,
		"{services: [a], sni: '{{ .Name }}.{{ .Domain }}'}":                  `only {{ .Name }} is supported`,
		"{services: [a], sni: '{{ .Nme }}'}":                                 `mesh.tlsOrigination[0].sni: host template`,
		"{services: [a], caCertificates: ca.pem}":                            `mesh.tlsOrigination[0].caCertificates: "ca.pem" is not an absolute path`,
		"{services: [a], subjectAltNames: ['']}":                             `mesh.tlsOrigination[0].subjectAltNames[0]: must not be empty`,
		"{services: [a], insecureSkipVerify: true, caCertificates: /ca.pem}": `mesh.tlsOrigination[0].insecureSkipVerify: excludes subjectAltNames and caCertificates`,
	} {
		_, err := Parse([]byte("mesh: {tlsOrigination: [" + content + "]}"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", content, err, want)
		}
	}
}
