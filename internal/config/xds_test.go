package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

func TestBadXDS(t *testing.T) {
	for name, test := range map[string]struct{ content, want string }{
		"half a key pair": {"xds: {tls: {certFile: x}}", "xds.tls: certFile and keyFile require each other"},
		"clients' CA only": {
			"xds: {tls: {clientCAFile: x}, clients: [a]}", "xds.tls.clientCAFile: requires certFile and keyFile",
		},
		"no authorized client": {"xds: {tls: {certFile: x, keyFile: x, clientCAFile: x}}", "xds.clients: empty, so no client is authorized"},
		"clients without CA": {
			"xds: {tls: {certFile: x, keyFile: x}, clients: [a]}", "xds.clients: requires tls.clientCAFile, because other clients present no certificate",
		},
		"empty client": {"xds: {tls: {certFile: x, keyFile: x, clientCAFile: x}, clients: ['']}", "xds.clients[0]: must not be empty"},
		"shards":       {"xds: {shards: 1001}", "xds.shards: 1001 is not within 0 and 1000"},
		"grace":        {"xds: {removalGrace: -1s}", "xds.removalGrace: -1s is negative"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse([]byte(test.content)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, expected %q", err, test.want)
			}
		})
	}
}

// TestForms verifies the form of the endpoints and the number of namespaces, for both outputs.
func TestForms(t *testing.T) {
	type outcome struct {
		form   mesh.Form
		shards int
	}
	for content, want := range map[string]struct{ kube, xds outcome }{
		"":                                 {outcome{mesh.AutoForm, 0}, outcome{mesh.InlineForm, 0}},
		"kubernetes: {shards: 7}":          {outcome{mesh.AutoForm, 7}, outcome{mesh.InlineForm, 0}},
		"mesh: {endpoints: auto}":          {outcome{mesh.AutoForm, 0}, outcome{mesh.InlineForm, 0}},
		"mesh: {endpoints: inline}":        {outcome{mesh.InlineForm, 0}, outcome{mesh.InlineForm, 0}},
		"mesh: {endpoints: ''}":            {outcome{mesh.AutoForm, 0}, outcome{mesh.InlineForm, 0}},
		"mesh: {endpoints: workloadEntry}": {outcome{mesh.WorkloadEntryForm, 0}, outcome{mesh.WorkloadEntryForm, 500}},
		"mesh: {endpoints: workloadEntry}\nxds: {shards: 0}": {
			outcome{mesh.WorkloadEntryForm, 0}, outcome{mesh.WorkloadEntryForm, 0},
		},
	} {
		c := mustParse(t, content)
		for output, test := range map[string]struct {
			c    Config
			want outcome
		}{"kube": {c, want.kube}, "xds": {c.ForXDS(), want.xds}} {
			options, err := test.c.MeshOptions()
			if err != nil {
				t.Fatal(err)
			}
			if got := (outcome{options.Form, options.Placement.Shards}); got != test.want {
				t.Errorf("%q, %s: %v, not %v", content, output, got, test.want)
			}
		}
	}
}

// TestReloadWithoutWatchedNamespaces verifies that rules for new namespaces need no restart if namespaces need not exist.
func TestReloadWithoutWatchedNamespaces(t *testing.T) {
	reload := NewReload(Default(), mustParse(t, "mesh: {rules: [{services: [a], namespace: new}]}"), nil)
	if len(reload.Restart) != 0 || len(reload.Running.Mesh.Rules) != 1 {
		t.Errorf("%+v", reload)
	}
}

// TestReloadOfForm verifies that, for output xds, a change of the form changes the shards at once, and that a change of
// their number requires a restart.
func TestReloadOfForm(t *testing.T) {
	inline, workloads := Default().ForXDS(), mustParse(t, "mesh: {endpoints: workloadEntry}").ForXDS()
	reload := NewReload(inline, workloads, nil)
	if diff := cmp.Diff(Reload{Running: workloads, Now: []string{"mesh.endpoints"}}, reload, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("to WorkloadEntries (-want +got):\n%s", diff)
	}
	fewer := mustParse(t, "mesh: {endpoints: workloadEntry}\nxds: {shards: 7}").ForXDS()
	reload = NewReload(workloads, fewer, nil)
	if diff := cmp.Diff(Reload{Running: workloads, Restart: []string{"xds.shards"}}, reload, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("another number of shards (-want +got):\n%s", diff)
	}
	reload = NewReload(workloads, inline, nil)
	if diff := cmp.Diff(Reload{Running: inline, Now: []string{"mesh.endpoints"}}, reload, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("to inline endpoints (-want +got):\n%s", diff)
	}
}
