package testbed

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Isthmus is a running isthmus.
type Isthmus struct {
	*Process
	// Admin is the URL of its metrics and health.
	Admin string
}

// StartIsthmus starts the daemon between a Consul and a Kubernetes API. More arguments may follow those of "isthmus
// run" that say where these are. It doesn't wait.
func (r *Run) StartIsthmus(consul *Consul, kube *Kube, args ...string) (*Isthmus, error) {
	path, err := Binary(IsthmusBinary)
	if err != nil {
		return nil, err
	}
	port, err := r.ports.free()
	if err != nil {
		return nil, err
	}
	i := &Isthmus{Admin: "http://" + loopback(port)}
	i.Process, err = r.Start("isthmus", path, nil, append([]string{
		"run", "--consul-addr", consul.Address, "--kubeconfig", kube.Kubeconfig, "--admin-addr", loopback(port),
	}, args...)...)
	return i, err
}

// Wait waits until the daemon says that it is ready.
func (i *Isthmus) Wait(ctx context.Context) error {
	return i.ready(ctx, func(ctx context.Context) error { return getOK(ctx, i.Admin+"/readyz") })
}

// Metric returns the sum of a metric over all series that have the labels, given as name and value by turns. Of a
// histogram it is the number of observations. A metric that isn't there counts 0.
func (i *Isthmus) Metric(ctx context.Context, name string, labels ...string) (float64, error) {
	families, err := i.metrics(ctx)
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, metric := range families[name].GetMetric() {
		if hasLabels(metric, labels) {
			sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return sum, nil
}

func (i *Isthmus) metrics(ctx context.Context) (families map[string]*dto.MetricFamily, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, i.Admin+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := plainHTTP.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s/metrics: %s", i.Admin, response.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(response.Body)
}

func hasLabels(metric *dto.Metric, labels []string) bool {
	for pair := 0; pair < len(labels); pair += 2 {
		found := false
		for _, label := range metric.GetLabel() {
			found = found || label.GetName() == labels[pair] && label.GetValue() == labels[pair+1]
		}
		if !found {
			return false
		}
	}
	return true
}
