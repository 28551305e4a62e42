package testbed

import (
	"context"
	"io"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// parseMetrics parses metrics in the text format of Prometheus.
func parseMetrics(from io.Reader) (map[string]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(from)
}

// metric reads the metrics of a server and returns the sum of one metric.
func metric(ctx context.Context, server, name string, labels []string) (float64, error) {
	body, err := get(ctx, server+"/metrics")
	if err != nil {
		return 0, err
	}
	defer body.Close()
	families, err := parseMetrics(body)
	if err != nil {
		return 0, err
	}
	return sum(families[name], labels...), nil
}

// sum adds all series of a family that have the labels, which are names and values in turn.
func sum(family *dto.MetricFamily, labels ...string) float64 {
	total := 0.0
	for _, metric := range family.GetMetric() {
		if hasLabels(metric, labels) {
			total += metric.GetCounter().GetValue() + metric.GetGauge().GetValue() +
				float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return total
}

func hasLabels(metric *dto.Metric, wanted []string) bool {
	for pair := 0; pair < len(wanted); pair += 2 {
		found := false
		for _, label := range metric.GetLabel() {
			found = found || label.GetName() == wanted[pair] && label.GetValue() == wanted[pair+1]
		}
		if !found {
			return false
		}
	}
	return true
}
