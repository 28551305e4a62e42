package config

import (
	"cmp"
	"fmt"
	"path"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// origination returns the rule in the form of the translation.
func (r TLSRule) origination() (mesh.TLSOrigination, error) {
	protocol, err := mesh.ParseProtocol(cmp.Or(r.Protocol, "http"))
	if err != nil {
		return mesh.TLSOrigination{}, fmt.Errorf("protocol: %w", err)
	}
	sni, err := mesh.ParseServerName(r.SNI)
	if err != nil {
		return mesh.TLSOrigination{}, fmt.Errorf("sni: %w", err)
	}
	return mesh.TLSOrigination{
		Services: r.Services, Force: r.Force, Protocol: protocol, SNI: sni,
		SubjectAltNames: r.SubjectAltNames, CACertificates: r.CACertificates, InsecureSkipVerify: r.InsecureSkipVerify,
	}, nil
}

func (m Mesh) originations() ([]mesh.TLSOrigination, error) {
	var all []mesh.TLSOrigination
	for i, rule := range m.TLSOrigination {
		one, err := rule.origination()
		if err != nil {
			return nil, fmt.Errorf("mesh.tlsOrigination[%d].%w", i, err)
		}
		all = append(all, one)
	}
	return all, nil
}

func (r TLSRule) validate(found *problems, at string) {
	if len(r.Services) == 0 {
		found.fail(at+".services", `empty, so the entry matches no service; ["*"] matches all`)
	}
	found.globs(at+".services", r.Services)
	found.oneOf(at+".protocol", cmp.Or(r.Protocol, "http"), "http", "http2", "grpc", "tcp")
	if _, err := mesh.ParseServerName(r.SNI); err != nil {
		found.fail(at+".sni", "%v", err)
	}
	for i, name := range r.SubjectAltNames {
		if name == "" {
			found.fail(fmt.Sprintf("%s.subjectAltNames[%d]", at, i), "must not be empty")
		}
	}
	if r.CACertificates != "" && !path.IsAbs(r.CACertificates) {
		found.fail(at+".caCertificates", "%q is not an absolute path", r.CACertificates)
	}
	if r.InsecureSkipVerify && (len(r.SubjectAltNames) > 0 || r.CACertificates != "") {
		found.fail(at+".insecureSkipVerify", "excludes subjectAltNames and caCertificates, because nothing is verified")
	}
}
