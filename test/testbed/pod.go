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

// PodOptions configure the name resolution of a pod.
type PodOptions struct {
	// DNSCapture lets the DNS proxy of Istio answer all queries to the name server.
	DNSCapture bool
	// NameServer is the address of the name server. The default is the Gateway of the pod.
	NameServer string
	// Search are the search domains. The default are those of a pod in Kubernetes.
	Search []string
}

// Pod is a network namespace and a mount namespace, like those of a pod. It reaches only this machine. The kernel
// removes both with the last program in them, even if this program is killed.
type Pod struct {
	// Address is the address of the pod.
	Address string
	// Gateway is the address of this machine in the network of the pod.
	Gateway string
	// Machines are more addresses of this machine, for providers on different machines.
	Machines []string

	run     *Run
	holder  *Process
	dir     string
	options PodOptions
}

// podPrograms are the programs that StartPod runs, from the Debian packages iproute2, iptables, util-linux and mount.
var podPrograms = []string{"ip", "iptables", "unshare", "nsenter", "setpriv", "mount"}

// RequirePod skips a test if this machine cannot run a pod with the given programs. With CI=true it fails the test
// instead.
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

// PodPossible returns nil if this machine can run a pod with the given programs, and an error with the requirements if
// not.
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

// StartPod starts a pod without a sidecar.
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

// podFolder creates a folder for a pod that users other than root can reach.
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

// holdScript mounts files of the pod over files of the machine, and keeps running. Its arguments are a folder, then
// pairs of a file in that folder and its path in the pod.
const holdScript = `set -e
cd "$1"; shift
while [ $# -gt 0 ]; do mount --bind "$1" "$2"; shift 2; done
echo ready
exec sleep infinity`

// hold starts the program that keeps the namespaces of the pod alive.
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
	// Other users may be unable to read the folder of the repository.
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

// configure writes the files for the name resolution of the pod.
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

// write writes a file in the folder of the pod, in place.
func (p *Pod) write(name, content string) error {
	return os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o644)
}

// AddFile writes a file that the programs of the pod can read, and returns its path.
func (p *Pod) AddFile(name string, content []byte) (path string, err error) {
	return filepath.Join(p.dir, name), p.write(name, string(content))
}

// Command returns a command that runs in the pod, with PATH as its only variable.
func (p *Pod) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	line := append(p.Enter(), append([]string{name}, args...)...)
	c := exec.CommandContext(ctx, line[0], line[1:]...)
	c.Env = []string{"PATH=" + os.Getenv("PATH")}
	return c
}

// Enter returns the prefix of a command line that runs in the pod.
func (p *Pod) Enter() []string {
	return []string{"nsenter", "--target", strconv.Itoa(p.holder.PID()), "--net", "--mount", "--"}
}

// Link is the name of the interface of this machine to the pod, as "ip link" shows it.
func (p *Pod) Link() string { return linkName(p.Gateway) }
