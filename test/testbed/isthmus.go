package testbed

import (
	"context"
	"io"
	"os"
	"path/filepath"
)

// OnLoopback is a configuration that allows services on loopback addresses, which isthmus skips by default.
const OnLoopback = `mesh: {addresses: {allow: [127.0.0.0/8, localhost.localdomain]}}
`

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
	path = filepath.Join(r.dir, "isthmus.yaml")
	return path, os.WriteFile(path, []byte(content), 0o600)
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
