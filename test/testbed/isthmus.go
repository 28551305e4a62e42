package testbed

import (
	"context"
	"io"
	"os"
	"path/filepath"
)

// OnLoopback is the configuration of an isthmus whose services listen on this machine, which it leaves out by default.
const OnLoopback = `mesh: {addresses: {allow: [127.0.0.0/8, localhost.localdomain]}}
`

// Isthmus is a running isthmus.
type Isthmus struct {
	*Process
	// Admin is the URL of its metrics and health.
	Admin string
}

// StartIsthmus starts the daemon between a Consul and a Kubernetes API. More arguments may follow those of "isthmus
// run" that say where these are; without one of them they must say what does for it. It doesn't wait.
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

// Config writes a configuration file for isthmus, and returns its path.
func (r *Run) Config(content string) (path string, err error) {
	path = filepath.Join(r.dir, "isthmus.yaml")
	return path, os.WriteFile(path, []byte(content), 0o600)
}

// Wait waits until the daemon says that it is ready.
func (i *Isthmus) Wait(ctx context.Context) error { return i.ready(ctx, i.IsReady) }

// IsReady returns nil where the daemon says that it is ready.
func (i *Isthmus) IsReady(ctx context.Context) error { return getOK(ctx, i.Admin+"/readyz") }

// Metric returns the sum of a metric over all series that have the labels, given as name and value by turns. Of a
// histogram it is the number of observations. A metric that isn't there counts 0.
func (i *Isthmus) Metric(ctx context.Context, name string, labels ...string) (float64, error) {
	return metric(ctx, i.Admin, name, labels)
}

// Status returns what the daemon says of itself, in JSON.
func (i *Isthmus) Status(ctx context.Context) (string, error) {
	body, err := get(ctx, i.Admin+"/status")
	if err != nil {
		return "", err
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	return string(content), err
}
