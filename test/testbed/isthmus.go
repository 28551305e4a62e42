package testbed

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"

	"sigs.k8s.io/yaml"
)

// OnLoopback is a configuration that allows services on loopback addresses, which isthmus skips by default.
const OnLoopback = `mesh: {addresses: {allow: [127.0.0.0/8, localhost.localdomain]}}
`

// PodRange contains the addresses of pods in the tests.
const PodRange = "10.244.0.0/16"

// Isthmus is a running isthmus.
type Isthmus struct {
	*Process
	// Admin is the URL of the metrics and health pages.
	Admin string
}

// StartIsthmus starts the daemon with a Consul and a Kubernetes API, without waiting for it. More arguments may follow
// those of "isthmus run" for the two. If one of the two is nil, the arguments must replace it.
func (r *Run) StartIsthmus(consul *Consul, kube *Kube, args ...string) (*Isthmus, error) {
	path, err := Binary(IsthmusBinary)
	if err != nil {
		return nil, err
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	i := &Isthmus{Admin: "http://" + loopback(port)}
	if args, err = r.withPodRanges(args); err != nil {
		return nil, err
	}
	args = append([]string{"run", "--admin-addr", loopback(port)}, args...)
	if kube != nil {
		args = append(args, "--kubeconfig", kube.Kubeconfig)
	}
	if consul != nil {
		args = append(args, "--consul-addr", consul.Address)
	}
	i.Process, err = r.Start("isthmus", path, nil, args...)
	return i, err
}

// Config writes a configuration file for isthmus and returns its path.
func (r *Run) Config(content string) (path string, err error) {
	file, err := os.CreateTemp(r.dir, "isthmus-*.yaml")
	if err != nil {
		return "", err
	}
	_, err = file.WriteString(content)
	return file.Name(), errors.Join(err, file.Close())
}

// withPodRanges changes the configuration file of the arguments by WithPodRanges. Arguments without a file get one.
func (r *Run) withPodRanges(args []string) ([]string, error) {
	at := slices.Index(args, "--config") + 1
	if at == 0 || at == len(args) {
		path, err := r.Config("")
		if err != nil {
			return nil, err
		}
		args = append(slices.Clone(args), "--config", path)
		at = len(args) - 1
	}
	content, err := os.ReadFile(args[at])
	if err != nil {
		return nil, err
	}
	return args, os.WriteFile(args[at], []byte(WithPodRanges(string(content))), 0o600)
}

// WithPodRanges returns a configuration in which mesh.podRanges is PodRange unless it is set. The instances of most tests
// have private addresses, as virtual machines may have them, and get WorkloadEntries.
func WithPodRanges(content string) string {
	config := map[string]any{}
	if yaml.Unmarshal([]byte(content), &config) != nil {
		return content // isthmus rejects it
	}
	rules, ok := config["mesh"].(map[string]any)
	if !ok {
		rules = map[string]any{}
		config["mesh"] = rules
	}
	if _, set := rules["podRanges"]; set {
		return content
	}
	rules["podRanges"] = []string{PodRange}
	changed, err := yaml.Marshal(config)
	if err != nil {
		return content
	}
	return string(changed)
}

// Wait waits until the daemon is ready.
func (i *Isthmus) Wait(ctx context.Context) error { return i.ready(ctx, i.IsReady) }

// IsReady returns nil if the daemon is ready.
func (i *Isthmus) IsReady(ctx context.Context) error { return getOK(ctx, i.Admin+"/readyz") }

// Metric returns the sum of all series of a metric that have the labels, which are names and values in turn. The value
// of a histogram is its number of observations. A missing metric counts 0.
func (i *Isthmus) Metric(ctx context.Context, name string, labels ...string) (float64, error) {
	return metric(ctx, i.Admin, name, labels)
}

// Status returns the status page of the daemon in JSON.
func (i *Isthmus) Status(ctx context.Context) (string, error) {
	body, err := get(ctx, i.Admin+"/status")
	if err != nil {
		return "", err
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	return string(content), err
}
