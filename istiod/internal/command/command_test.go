package command

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"istio.io/istio/pilot/cmd/pilot-discovery/app"
)

// flag is the part of a flag that users see.
type flag struct{ Shorthand, Default, Usage string }

// TestStockFlags verifies that "discovery" has all flags of Istio's, with the same defaults and texts, and four of isthmus.
func TestStockFlags(t *testing.T) {
	want, got := flagsOf(t, app.NewRootCommand()), flagsOf(t, New())
	for _, name := range []string{addressFlag, configFlag, stateFlag} {
		if got[name].Usage == "" {
			t.Errorf("no flag --%s", name)
		}
		delete(got, name)
	}
	registries := want[registriesFlag]
	registries.Usage = strings.Replace(registries.Usage, "Mock}", "Mock, "+consulRegistry+"}", 1)
	want[registriesFlag] = registries
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flags differ from those of pilot-discovery (-want +got):\n%s", diff)
	}
}

// TestStockCommands verifies that all commands of Istio's program are there.
func TestStockCommands(t *testing.T) {
	names := func(root *cobra.Command) (names []string) {
		for _, command := range root.Commands() {
			names = append(names, command.Name())
		}
		return names
	}
	if diff := cmp.Diff(names(app.NewRootCommand()), names(New())); diff != "" {
		t.Errorf("commands differ from those of pilot-discovery (-want +got):\n%s", diff)
	}
}

func flagsOf(t *testing.T, root *cobra.Command) map[string]flag {
	t.Helper()
	discovery, _, err := root.Find([]string{"discovery"})
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]flag{}
	discovery.Flags().VisitAll(func(f *pflag.Flag) { flags[f.Name] = flag{f.Shorthand, f.DefValue, f.Usage} })
	discovery.PersistentFlags().VisitAll(func(f *pflag.Flag) { flags[f.Name] = flag{f.Shorthand, f.DefValue, f.Usage} })
	return flags
}

// TestSpelling verifies that a misspelled flag of isthmus is an error that names the right one, and that flags of istiod,
// known or not, are no error.
func TestSpelling(t *testing.T) {
	for argument, want := range map[string]string{
		"--consulserverUrl=x":          "--consulserverURL",
		"--consul-server-url":          "--consulserverURL",
		"--consulServerURL":            "--consulserverURL",
		"--consul-confg=x":             "--consul-config",
		"--consul-statefile":           "--consul-state-file",
		"--registry":                   "--registries",
		"--Registries=Consul":          "--registries",
		"--consul-token=x":             "the flags for Consul are",
		"--consulserverURL=x":          "",
		"--consul-config":              "",
		"--clusterRegistriesNamespace": "",
		"--some-older-flag":            "",
		"--":                           "",
		"Consul":                       "",
	} {
		err := checkSpelling([]string{"discovery", argument})
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", argument, err, want)
		}
	}
	for name := range flagsOf(t, app.NewRootCommand()) {
		if err := checkSpelling([]string{"--" + name}); err != nil {
			t.Errorf("flag of istiod: %v", err)
		}
	}
}

// TestConsulFlags verifies that the flags for Consul apply only with that registry, and that it is not passed to istiod.
func TestConsulFlags(t *testing.T) {
	args := newArgs()
	args.RegistryOptions.Registries = []string{"Kubernetes", "Consul"}
	flags := &consulFlags{address: "127.0.0.1:8500"}
	if err := flags.complete(args); err != nil || !flags.enabled {
		t.Errorf("enabled %v, %v", flags.enabled, err)
	}
	if diff := cmp.Diff([]string{"Kubernetes"}, args.RegistryOptions.Registries); diff != "" {
		t.Errorf("registries of istiod (-want +got):\n%s", diff)
	}
	if err := (&consulFlags{state: "file"}).complete(newArgs()); err == nil {
		t.Error("a state file without Consul is no error")
	}
}

// TestConfiguration verifies that flags take precedence over the configuration file, and that entries without an effect in
// istiod are errors.
func TestConfiguration(t *testing.T) {
	flags := &consulFlags{address: "https://consul.example.com:8501", state: "state", config: "file"}
	c, err := flags.parse([]byte("sources: [{name: dc1, address: 127.0.0.1:8500}]"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Sources[0].Address != flags.address || c.State.File != "state" || c.Mesh.Endpoints != "inline" {
		t.Errorf("address %s, state %s, endpoints %s", c.Sources[0].Address, c.State.File, c.Mesh.Endpoints)
	}
	for content, want := range map[string]string{
		`dns: {address: ":53"}`:                       "dns.address",
		"sources: [{name: a}, {name: b, address: b}]": addressFlag,
		"sorces: []": "sorces",
	} {
		if _, err := flags.parse([]byte(content)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", content, err)
		}
	}
}
