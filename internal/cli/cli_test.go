package cli

import (
	"bytes"
	"context"
	"flag"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

var update = flag.Bool("update", false, "write the generated pages")

// run runs a command and returns its exit code and its output.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Main(context.Background(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// TestWrongUse verifies that each mistake of the user ends with exit code 2 and one line that names the mistake and the fix.
func TestWrongUse(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	bad := filepath.Join(dir, "bad.yaml")
	writeFile(t, bad, "mesh: {domian: x}")
	writeFile(t, kubeconfig, "not: [a kubeconfig")
	t.Setenv("KUBECONFIG", filepath.Join(dir, "none"))
	t.Setenv("HOME", dir)

	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"unknown command":   {[]string{"rnu"}, `isthmus: unknown command "rnu"; available commands: completion, config, release, run, version`},
		"unknown flag":      {[]string{"run", "--consul"}, "isthmus: unknown flag: --consul; see isthmus run --help"},
		"argument":          {[]string{"run", "now"}, `isthmus: isthmus run takes no arguments, got "now"; see isthmus run --help`},
		"no config file":    {[]string{"run", "--config", dir + "/none"}, "isthmus: configuration: open " + dir + "/none: no such file or directory"},
		"bad config file":   {[]string{"run", "--config", bad}, "isthmus: configuration " + bad + `: unknown field "domian"`},
		"check without one": {[]string{"config", "check"}, "isthmus: isthmus config check takes one file, got 0 arguments"},
		"check a bad one":   {[]string{"config", "check", bad}, "isthmus: configuration " + bad + `: unknown field "domian"`},
		"consul address":    {[]string{"run", "--consul-addr", "ftp://x"}, `isthmus: configuration: sources[0].address: "ftp://x": the scheme is not http, https or unix`},
		"namespace":         {[]string{"run", "--namespace", "A"}, `isthmus: configuration: kubernetes.namespace: "A" is not a DNS label`},
		"output":            {[]string{"run", "--output", "dir"}, `isthmus: output "dir" is not one of kube, stdout, dir=PATH, xds=ADDRESS`},
		"state with kube":   {[]string{"run", "--state-file", dir + "/state"}, "isthmus: output kube keeps the last known good state in its objects"},
		"a state of others": {[]string{"run", "--output", "stdout", "--state-file", bad}, "isthmus: state file " + bad + ": "},
		"release nothing":   {[]string{"release"}, "isthmus: isthmus release takes the name of one source, got 0 arguments"},
		"release unknown":   {[]string{"release", "east"}, `isthmus: the configuration has no source "east"`},
		"no kubeconfig":     {[]string{"run"}, "isthmus: no kubeconfig and no service account of a pod found; set --kubeconfig, or choose --output stdout"},
		"missing kubeconfig": {
			[]string{"run", "--kubeconfig", dir + "/none"}, "isthmus: kubeconfig: stat " + dir + "/none: no such file or directory",
		},
		"bad kubeconfig": {[]string{"run", "--kubeconfig", kubeconfig}, "isthmus: kubeconfig: error loading config file"},
		"port in use": {
			[]string{"run", "--output", "stdout", "--admin-addr", busy.Addr().String()},
			`address already in use; choose another with --admin-addr`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := run(t, test.args...)
			if code != 2 {
				t.Errorf("exit code %d, want 2", code)
			}
			if stdout != "" || strings.Count(stderr, "\n") != 1 {
				t.Errorf("want one line on standard error, got\n%s%s", stdout, stderr)
			}
			if !strings.Contains(stderr, test.want) {
				t.Errorf("got  %swant %s", stderr, test.want)
			}
		})
	}
}

// TestConsulAddrWithSeveralSources verifies that --consul-addr is an error if the configuration has several sources.
func TestConsulAddrWithSeveralSources(t *testing.T) {
	several := filepath.Join(t.TempDir(), "several.yaml")
	writeFile(t, several, "sources: [{name: a, address: 'a:1'}, {name: b, address: 'b:1'}]")
	code, _, stderr := run(t, "run", "--config", several, "--consul-addr", "c:1")
	if want := "--consul-addr sets the address of one source, but " + several + " has 2; set sources[].address there"; code != 2 || !strings.Contains(stderr, want) {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestTokenFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CONSUL_HTTP_TOKEN_FILE", dir+"/none")
	code, _, stderr := run(t, "run", "--output", "stdout")
	if want := "isthmus: source consul: consul: token file: open " + dir + "/none: no such file or directory; " +
		"name a readable file that contains the token\n"; code != 2 || stderr != want {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	writeFile(t, dir+"/empty", "\n")
	t.Setenv("CONSUL_HTTP_TOKEN_FILE", dir+"/empty")
	code, _, stderr = run(t, "run", "--output", "stdout")
	if want := "isthmus: source consul: consul: token file " + dir + "/empty is empty; " +
		"name a readable file that contains the token\n"; code != 2 || stderr != want {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

func TestConfigCheck(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good.yaml")
	writeFile(t, good, "mesh: {domain: shop.example}")
	if code, stdout, stderr := run(t, "config", "check", good); code != 0 || stdout != good+": ok\n" || stderr != "" {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

func TestVersionAndCompletion(t *testing.T) {
	if code, stdout, _ := run(t, "version"); code != 0 || !strings.HasPrefix(stdout, "isthmus ") {
		t.Errorf("version: exit code %d, %q", code, stdout)
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, stdout, _ := run(t, "completion", shell); code != 0 || stdout == "" {
			t.Errorf("completion %s: exit code %d", shell, code)
		}
	}
}

// TestReferenceIsCurrent verifies that the generated page in docs/ matches the commands. "make generate" updates it.
func TestReferenceIsCurrent(t *testing.T) {
	const page = "../../docs/reference/cli.md"
	current := reference(t)
	if *update {
		writeFile(t, page, current)
	}
	onDisk, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(onDisk), current); diff != "" {
		t.Errorf("%s is stale; run \"make generate\" (-page +code):\n%s", page, diff)
	}
}

func reference(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	out.WriteString("# Command line\n\n<!-- Generated from internal/cli by \"make generate\". Do not edit. -->\n\n")
	anchor := func(file string) string { return "#" + strings.ReplaceAll(strings.TrimSuffix(file, ".md"), "_", "-") }
	var add func(cmd *cobra.Command)
	add = func(cmd *cobra.Command) {
		cmd.DisableAutoGenTag = true
		if err := doc.GenMarkdownCustom(cmd, &out, anchor); err != nil {
			t.Fatal(err)
		}
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() && sub.Name() != "completion" {
				add(sub)
			}
		}
	}
	add(newRoot())
	return out.String()
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
