package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestReload verifies the complete result of a change, for each kind of entry.
func TestReload(t *testing.T) {
	const running = "mesh: {rules: [{services: [a], namespace: shop}]}"
	for name, test := range map[string]struct {
		content      string
		now, restart []string
		// holds is the configuration that runs then; empty for the new one, or the old one where nothing changes.
		holds string
	}{
		"nothing":    {content: running},
		"empty list": {content: "mesh: {hosts: [], rules: [{services: [a], namespace: shop}]}"},
		"mesh and log": {
			content: "mesh: {hosts: ['{{ .Name }}'], health: passing, rules: [{services: [a], namespace: shop}]}\nlog: {level: debug}",
			now:     []string{"mesh.hosts", "mesh.health", "log.level"},
		},
		"selection": {
			content: "sources: [{services: {exclude: [x]}}]\n" + running,
			now:     []string{"sources[0].services.exclude"},
		},
		"some wait": {
			content: "sources: [{wait: 1m, services: {exclude: [x], filter: 'Service.Port == 80'}}]\nkubernetes: {shards: 2}\nadmin: {address: ':1'}\n" + running,
			now:     []string{"sources[0].services.exclude"},
			restart: []string{"sources[0].wait", "sources[0].services.filter", "kubernetes.shards", "admin.address"},
			holds:   "sources: [{services: {exclude: [x]}}]\n" + running,
		},
		"rules in known namespaces": {
			content: "mesh: {rules: [{services: [b], namespace: shop}, {services: [c], namespace: consul-services}]}",
			now:     []string{"mesh.rules"},
		},
		"rules in new namespaces": {
			content: "mesh: {health: passing, rules: [{services: [a], namespace: other}]}",
			now:     []string{"mesh.health"}, restart: []string{"mesh.rules"},
			holds: "mesh: {health: passing, rules: [{services: [a], namespace: shop}]}",
		},
		"choice of a new namespace": {
			content: "mesh: {namespaceChoices: [other], rules: [{services: [a], namespace: shop}]}",
			restart: []string{"mesh.namespaceChoices"},
			holds:   running,
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := mustParse(t, running)
			got := NewReload(before, mustParse(t, test.content), before.Namespaces())
			want := Reload{Running: mustParse(t, test.content), Now: test.now, Restart: test.restart}
			if test.holds != "" {
				want.Running = mustParse(t, test.holds)
			}
			if len(test.now) == 0 && test.holds == "" {
				want.Running = before
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(mustParse(t, running), before); diff != "" {
				t.Errorf("the old configuration changed:\n%s", diff)
			}
		})
	}
}

func TestReloadOfSources(t *testing.T) {
	newest := Default()
	newest.Sources = append(newest.Sources, DefaultSource())
	got := NewReload(Default(), newest, []string{"consul-services"})
	if diff := cmp.Diff(Reload{Running: Default(), Restart: []string{"sources"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestReloadOfOtherSources holds that a source is not changed by the entry of another one in its place: all sources wait.
func TestReloadOfOtherSources(t *testing.T) {
	const (
		east  = "{name: east, address: a, domain: east, services: {exclude: [x]}}"
		west  = "{name: west, address: b, domain: west}"
		other = "{name: north, address: c, domain: north}"
	)
	before := mustParse(t, "sources: ["+east+", "+west+"]")
	for name, content := range map[string]string{
		"swapped":  west + ", " + east,
		"replaced": other + ", " + west,
		"renamed":  "{name: south, address: a, domain: east}, " + west,
	} {
		t.Run(name, func(t *testing.T) {
			got := NewReload(before, mustParse(t, "sources: ["+content+"]"), before.Namespaces())
			if diff := cmp.Diff(Reload{Running: before, Restart: []string{"sources"}}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func mustParse(t *testing.T, content string) Config {
	t.Helper()
	c, err := Parse([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
