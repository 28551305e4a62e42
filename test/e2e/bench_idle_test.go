package e2e

import (
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/test/testbed/bench"
)

// measureIdle measures the resources of isthmus while nothing changes, after its start.
func (b *bed) measureIdle(t *testing.T) {
	b.servers(t)
	lasts, outputs := 30*time.Second, []benchSetup{byXDS, {output: "kube"}} // the last one stays for other lines
	if quick() {
		lasts, outputs = 5*time.Second, outputs[1:]
	}
	for _, output := range outputs {
		b.startIsthmus(t, output)
		b.ready(t)
		b.quiet(t)
		shares := b.shares(t)
		time.Sleep(lasts)
		rows := append(shares(), bench.Row{Figure: "memory of isthmus", Value: bench.RSS(t, b.isthmus.PID()), Unit: "MB", Limit: 500},
			bench.Row{Figure: "memory of consul", Value: bench.RSS(t, b.consul.PID()), Unit: "MB"})
		rows[0].Limit = 2
		what := "output kube"
		if output.output != "kube" {
			what = "output xds"
		}
		for i := range rows {
			rows[i].Line, rows[i].What, rows[i].Size = 6, what, b.String()
		}
		bench.Add(t, rows...)
	}
}
