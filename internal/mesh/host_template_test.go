package mesh_test

import (
	"strings"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

func TestParseHostTemplate(t *testing.T) {
	for text, want := range map[string]string{ // empty where it is right, else part of the error
		"{{ .Name }}": "",
		"{{ .Name }}.service.{{ .Datacenter }}.{{ .Domain }}": "",
		"{{ .Name }}.Example.COM":                             "",
		"prefix-{{.Name}}.web":                                "",

		"{{ .Name":                               "unclosed action",
		"{{ .Nmae }}":                            "can't evaluate field Nmae",
		"{{ shout .Name }}":                      "not defined",
		"":                                       "no host name",
		`{{ printf "%.1s" .Name }}`:              "can't stand in it",
		"{{ if .Name }}a{{ end }}":               "can't stand in it",
		"{{ $x := .Name }}{{ $x }}":              "can't stand in it",
		`{{ .Name }}{{ "x" }}`:                   "can't stand in it",
		"{{ .Name }}.{{ .Name }}":                "twice",
		"{{ .Name }}.1":                          "no host name",
		"{{ .Name }}.0x7f":                       "no host name",
		"{{ .Name }}.":                           "no host name",
		"{{ .Name }}..x":                         "no host name",
		"*.{{ .Name }}":                          "no host name",
		"{{ .Name }}_x":                          "no host name",
		" {{ .Name }}":                           "no host name",
		"{{ .Name }}:80":                         "no host name",
		"all.{{ .Domain }}":                      "every service the same host",
		"webshop.{{ .Datacenter }}":              "every service the same host",
		"{{ .Name }}." + strings.Repeat("x", 64): "no host name",
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
