package testbed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// PodOptions say how names are resolved in a pod.
type PodOptions struct {
	// DNSCapture has Istio's DNS proxy answer what is asked of the name server.
	DNSCapture bool
	// NameServer is the address of the name server; the pod's Gateway where empty.
	NameServer string
	// Search are the domains that names are looked for in; those that Kubernetes gives a pod where empty.
	Search []string
}

// Pod is a network and a look at the file system of its own, as a pod has them. It reaches this machine and nothing
// else. The kernel removes all of it with the last program in it, also when this program is killed.
type Pod struct {
	// Address is the pod's own.
	Address string
	// Gateway is this machine as the pod sees it.
	Gateway string
	// Machines are more addresses of this machine, for providers that are to be on machines of their own.
	Machines []string

	run     *Run
	holder  *Process
	dir     string
	options PodOptions
}

// podPrograms are what a pod is made with: of Debian's iproute2, iptables, and util-linux and mount, which are always
// there.
var podPrograms = []string{"ip", "iptables", "unshare", "nsenter", "setpriv", "mount"}

// RequirePod skips a test that can't make a pod here, or hasn't the programs that it needs beside. In CI, where CI is
// "true", it fails.
func RequirePod(t testing.TB, programs ...string) {
	t.Helper()
	Require(t, IstiodBinary, AgentBinary, EnvoyBinary)
	if err := PodPossible(t.Context(), programs...); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// PodPossible returns nil where a pod can be made, and there are the programs that it needs beside; or what that takes.
func PodPossible(ctx context.Context, programs ...string) error {
	needs := "a pod needs Linux, root, and the programs " + strings.Join(slices.Concat(podPrograms, programs), ", ")
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		return errors.New(needs)
	}
	for _, program := range slices.Concat(podPrograms, programs) {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s: %w", needs, err)
		}
	}
	if err := command(ctx, "unshare", "--net", "--mount", "true"); err != nil {
		return fmt.Errorf("%s: %w", needs, err)
	}
	return nil
}

// StartPod makes a pod. It starts no sidecar.
func (r *Run) StartPod(ctx context.Context, options PodOptions) (*Pod, error) {
	dir, err := r.podFolder()
	if err != nil {
		return nil, fmt.Errorf("pod: %w", err)
	}
	p := &Pod{run: r, dir: dir, options: options}
	if err := p.hold(ctx); err != nil {
		return nil, fmt.Errorf("pod: %w", err)
	}
	if err := p.connect(ctx); err != nil {
		return nil, fmt.Errorf("pod: %w", err)
	}
	return p, p.configure()
}

// podFolder makes a folder for a pod that users other than root can reach.
func (r *Run) podFolder() (string, error) {
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return "", err
	}
	if err := os.Chmod(r.dir, 0o711); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(r.dir, "pod-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// holdScript lays the pod's files over the machine's, and stays. Its arguments are a folder, then files of that folder
// and what they are in the pod, by turns.
const holdScript = `set -e
cd "$1"; shift
while [ $# -gt 0 ]; do mount --bind "$1" "$2"; shift 2; done
echo ready
exec sleep infinity`

// hold starts the program that the pod's namespaces live by.
func (p *Pod) hold(ctx context.Context) error {
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return err
	}
	args := []string{"--net", "--mount", "--propagation", "private", "sh", "-c", holdScript, "pod", p.dir}
	for _, name := range []string{"hosts", "resolv.conf", "nsswitch.conf"} {
		if err := p.write(name, ""); err != nil {
			return err
		}
		args = append(args, name, "/etc/"+name)
	}
	// The repository may be where no other user can read.
	for name, file := range map[string]string{agentFile: AgentBinary, envoyFile: EnvoyBinary} {
		path, err := Binary(file)
		if err != nil {
			return err
		}
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return err
		}
		if err := p.write(name, ""); err != nil {
			return err
		}
		args = append(args, path, name)
	}
	if p.holder, err = p.run.Start("pod", unshare, nil, args...); err != nil {
		return err
	}
	return p.holder.ready(ctx, func(context.Context) error {
		if !strings.Contains(p.holder.Log(), "ready\n") {
			return errors.New("its files are not in place")
		}
		return nil
	})
}

// configure writes what the pod's programs resolve names by.
func (p *Pod) configure() error {
	search := p.options.Search
	if len(search) == 0 {
		search = []string{consumerNamespace + ".svc.cluster.local", "svc.cluster.local", "cluster.local"}
	}
	return errors.Join(
		p.write("hosts", fmt.Sprintf("127.0.0.1 localhost\n%s %s\n", p.Gateway, istiodHost)),
		p.write("resolv.conf", fmt.Sprintf("nameserver %s\nsearch %s\noptions ndots:5\n",
			cmp.Or(p.options.NameServer, p.Gateway), strings.Join(search, " "))),
		p.write("nsswitch.conf", "hosts: files dns\n"),
	)
}

// write writes a file of the pod's folder in place.
func (p *Pod) write(name, content string) error {
	return os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o644)
}

// AddFile puts a file where the pod's programs can read it, and returns its path there.
func (p *Pod) AddFile(name string, content []byte) (path string, err error) {
	return filepath.Join(p.dir, name), p.write(name, string(content))
}

// Command returns a command that runs in the pod, with an environment that says nothing.
func (p *Pod) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	line := append(p.Enter(), append([]string{name}, args...)...)
	c := exec.CommandContext(ctx, line[0], line[1:]...)
	c.Env = []string{"PATH=" + os.Getenv("PATH")}
	return c
}

// Enter returns what stands before a command that is to run in the pod.
func (p *Pod) Enter() []string {
	return []string{"nsenter", "--target", strconv.Itoa(p.holder.PID()), "--net", "--mount", "--"}
}

// Link is the name of this machine's end of the pod's network, as "ip link" shows it.
func (p *Pod) Link() string { return linkName(p.Gateway) }
