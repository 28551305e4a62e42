package mesh_test

import (
	"strings"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// TestParseHostTemplate verifies the accepted and rejected templates.
func TestParseHostTemplate(t *testing.T) {
	for text, want := range map[string]string{ // part of the error; empty if the template is valid
		"{{ .Name }}": "",
		"{{ .Name }}.service.{{ .Datacenter }}.{{ .Domain }}": "",
		"{{ .Name }}.Example.COM":                             "",
		"prefix-{{.Name}}.web":                                "",

		"{{ .Name":                               "unclosed action",
		"{{ .Nmae }}":                            "can't evaluate field Nmae",
		"{{ shout .Name }}":                      "not defined",
		"":                                       "invalid host",
		`{{ printf "%.1s" .Name }}`:              "is not supported",
		"{{ if .Name }}a{{ end }}":               "is not supported",
		"{{ $x := .Name }}{{ $x }}":              "is not supported",
		`{{ .Name }}{{ "x" }}`:                   "is not supported",
		"{{ .Name }}.{{ .Name }}":                "twice",
		"{{ .Name }}.1":                          "invalid host",
		"{{ .Name }}.0x7f":                       "invalid host",
		"{{ .Name }}.":                           "invalid host",
		"{{ .Name }}..x":                         "invalid host",
		"*.{{ .Name }}":                          "invalid host",
		"{{ .Name }}_x":                          "invalid host",
		" {{ .Name }}":                           "invalid host",
		"{{ .Name }}:80":                         "invalid host",
		"all.{{ .Domain }}":                      "all services the same host",
		"webshop.{{ .Datacenter }}":              "all services the same host",
		"{{ .Name }}." + strings.Repeat("x", 64): "invalid host",
	} {
		_, err := mesh.ParseHostTemplate(text)
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}
