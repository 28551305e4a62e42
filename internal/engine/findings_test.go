package engine

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

// findings is an idle engine with a log and a clock.
type findings struct {
	t      *testing.T
	engine *Engine
	log    bytes.Buffer
	now    time.Time
}

func newFindings(t *testing.T) *findings {
	f := &findings{t: t, engine: idleEngine(nil), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	f.engine.log = slog.New(slog.NewTextHandler(&f.log, nil))
	f.engine.now = func() time.Time { return f.now }
	f.engine.handle(batch{synced: map[string]bool{"consul": true}})
	return f
}

// lines returns the lines about findings after a report.
func (f *findings) lines(service catalog.Service) []string {
	f.log.Reset()
	f.engine.handle(oneUpdate(service))
	var lines []string
	for line := range strings.Lines(f.log.String()) {
		if strings.Contains(line, MessageFinding) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// expect verifies the number of lines after a report.
func (f *findings) expect(want int, service catalog.Service) {
	f.t.Helper()
	if got := f.lines(service); len(got) != want {
		f.t.Errorf("%d lines, want %d:\n%s", len(got), want, strings.Join(got, "\n"))
	}
}

// metric returns the number of services with a finding.
func (f *findings) metric(reason string) float64 {
	var m dto.Metric
	if err := f.engine.metrics.findings.WithLabelValues("consul", reason).Write(&m); err != nil {
		f.t.Fatal(err)
	}
	return m.GetGauge().GetValue()
}

// withPorts returns a service with an instance for each port.
func withPorts(name string, ports ...int) catalog.Service {
	var ids []string
	for i := range ports {
		ids = append(ids, fmt.Sprintf("%05d", i))
	}
	s := reported("consul", name, ids...)
	for i, port := range ports {
		s.Instances[i].Port = port
	}
	return s
}

// TestManyInstancesAreOneLine verifies that instances with the same mistake are one line with a count and a few examples, and
// count as one service in the metric.
func TestManyInstancesAreOneLine(t *testing.T) {
	f := newFindings(t)
	lines := f.lines(withPorts("web", make([]int, 10_000)...))
	if len(lines) != 1 || len(lines[0]) > 500 {
		t.Fatalf("%d lines: %.2000q", len(lines), lines)
	}
	for _, text := range []string{
		"reason=bad_port", "count=10000", `object="dc1/n1/00000, dc1/n1/00001, dc1/n1/00002"`, `error="port 0 is not in the range 1-65535; the instance is skipped"`,
	} {
		if !strings.Contains(lines[0], text) {
			t.Errorf("%s is not in %s", text, lines[0])
		}
	}
	f.expect(1, withPorts("api", 0, 0, 80))
	if got := f.metric("bad_port"); got != 2 {
		t.Errorf("the metric is %v, want 2 services", got)
	}
	f.expect(0, withPorts("web", 80))
	f.expect(0, withPorts("api"))
	if got := f.metric("bad_port"); got != 0 {
		t.Errorf("the metric is %v after the corrections", got)
	}
}

// TestFindingsAreLoggedOnce verifies that neither another count nor a finding that comes and goes repeats a line, and that new
// details are logged, at a bounded rate.
func TestFindingsAreLoggedOnce(t *testing.T) {
	f := newFindings(t)
	f.expect(1, withPorts("web", 0, 80))
	f.expect(0, withPorts("web", 0, 0, 80))
	for range 5 {
		f.now = f.now.Add(time.Minute)
		f.expect(0, withPorts("web", 80))
		f.expect(0, withPorts("web", 0, 80))
	}
	lines := f.lines(withPorts("web", 0, 70000, 80))
	if len(lines) != 1 || !strings.Contains(lines[0], "count=2 object=dc1/n1/00001 error=\"port 70000 ") || strings.Contains(lines[0], "port 0 ") {
		t.Errorf("a new detail: %q", lines)
	}
	f.expect(1, withPorts("web", 70001))
	f.expect(0, withPorts("web", 70002)) // the fourth line
	f.now = f.now.Add(findingPause)
	f.expect(1, withPorts("web", 70003))

	f.now = f.now.Add(findingPause)
	f.expect(0, withPorts("web", 70003)) // it lasts
	f.expect(0, withPorts("web", 80))
	f.now = f.now.Add(findingPause)
	f.expect(0, withPorts("web", 80))
	f.expect(1, withPorts("web", 70003))
}

// TestFindingsStatus verifies that the findings that need an action come first, and that the list is bounded.
func TestFindingsStatus(t *testing.T) {
	f := newFindings(t)
	udp := reported("consul", "dns", "1", "2")
	for i := range udp.Instances {
		udp.Instances[i].LeftOut = catalog.UDP
	}
	f.expect(1, udp)
	f.expect(1, withPorts("web", 0, 0, 80))
	f.expect(1, withPorts("api", 70000))
	got, count := f.engine.Findings(2)
	want := []FindingStatus{
		{"consul/api", "bad_port", 1, []ExampleStatus{{"port 70000 is not in the range 1-65535; the instance is skipped", []string{"dc1/n1/00000"}, 1}}},
		{"consul/web", "bad_port", 2, []ExampleStatus{{"port 0 is not in the range 1-65535; the instance is skipped", []string{"dc1/n1/00000", "dc1/n1/00001"}, 2}}},
	}
	if diff := cmp.Diff(want, got); diff != "" || count != 3 {
		t.Errorf("%d findings (-want +got):\n%s", count, diff)
	}
	if got, _ := f.engine.Findings(100); len(got) != 3 || got[2].Reason != "udp" || got[2].Count != 2 {
		t.Errorf("findings %+v", got)
	}
	f.expect(0, withPorts("api", 80))
	if _, count := f.engine.Findings(100); count != 2 {
		t.Errorf("%d findings after a correction", count)
	}
}
