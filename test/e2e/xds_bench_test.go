package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/test/testbed"
	"github.com/isthmus-mesh/isthmus/test/testbed/bench"
)

// TestXDSBench prints the cost of following a catalog by xDS. "make bench" runs it. XDS_BENCH_SIZE selects the sizes.
func TestXDSBench(t *testing.T) {
	sizes := os.Getenv("XDS_BENCH_SIZE")
	if sizes == "" {
		t.Skip(`it measures and asserts nothing: run "make bench"`)
	}
	requireAll(t, testbed.IstiodBinary)
	for _, size := range strings.Fields(sizes) {
		size, form, _ := strings.Cut(size, ":")
		if form == "" {
			form = "inline"
		}
		var services, instances int
		if _, err := fmt.Sscanf(size, "%dx%d", &services, &instances); err != nil {
			t.Fatal(err)
		}
		t.Run(size+"-"+form, func(t *testing.T) { benchXDS(t, form, services, instances) })
	}
}

const (
	debounce     = 100 * time.Millisecond // PILOT_DEBOUNCE_AFTER of istiod
	benchChanges = 40
	benchLoad    = 10 * time.Second
	benchPace    = 20 * time.Millisecond
)

func benchXDS(t *testing.T, form string, services, instances int) {
	w := &harness{run: testbed.ForTest(t)}
	var err error
	if w.kube, err = w.run.StartKube(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.closeIdle)
	server := startBenchServer(t, form, services, instances)
	began := time.Now()
	source := fmt.Sprintf("{address: \"xds://%s\"}", server.address)
	if w.istiod, err = w.run.StartIstiodWith(t.Context(), w.kube, testbed.IstiodOptions{ConfigSources: []string{source}}); err != nil {
		t.Fatal(err)
	}
	ready := time.Since(began)
	client := newEDSClient(t, w.istiod.XDS, "outbound|80||"+benchService(0)+".service.consul")

	var alone []time.Duration
	for n := range benchChanges {
		alone = append(alone, client.until(t, server.change(t, 0, n)))
		time.Sleep(3 * debounce) // so that changes do not overlap
	}
	isthmus, istiod := bench.CPU(t, server.pid), bench.CPU(t, w.istiod.PID())
	var under []time.Duration
	from := time.Now()
	for n := 0; time.Since(from) < benchLoad; n++ {
		sent := time.Now()
		if n%25 == 0 {
			under = append(under, client.until(t, server.change(t, 0, 1000+n)))
		} else {
			server.change(t, 1+n%(services-1), n)
		}
		time.Sleep(benchPace - time.Since(sent))
	}
	took := time.Since(from)
	share := func(before, after time.Duration) float64 { return 100 * float64(after-before) / float64(took) }
	const what = "output xds, a made-up catalog"
	row := bench.Row{Line: 2, What: what, Size: benchSize{services: services, instances: instances, form: form}.String()}
	istiods := []time.Duration{debounce}
	rows := bench.Compare(row, alone, istiods, nil)
	row.What = what + ", 50 changes a second"
	rows = append(rows, bench.Compare(row, under, istiods, nil)...)
	add := func(figure string, value float64, unit string) {
		row.Figure, row.Value, row.Unit = figure, value, unit
		rows = append(rows, row)
	}
	add("CPU of isthmus", share(isthmus, bench.CPU(t, server.pid)), "%")
	add("CPU of istiod", share(istiod, bench.CPU(t, w.istiod.PID())), "%")
	row.What = what
	add("istiod ready", ready.Seconds(), "s")
	for _, kind := range []mesh.Kind{mesh.ServiceEntryKind, mesh.WorkloadEntryKind} {
		if bytes := server.bytes(t, kind); bytes > 0 {
			add("a push of "+string(kind), bytes/1e6, "MB")
		}
	}
	add("memory of isthmus", bench.RSS(t, server.pid), "MB")
	add("memory of istiod", bench.RSS(t, w.istiod.PID()), "MB")
	bench.Add(t, rows...)
}

// benchServer is the product in a process of its own, with a generated catalog in place of Consul.
type benchServer struct {
	pid     int
	address string
	in      io.Writer
	out     *bufio.Scanner
}

func startBenchServer(t *testing.T, form string, services, instances int) *benchServer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestXDSBenchServer$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("XDS_BENCH_SERVE=%d %d %s", services, instances, form))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	s := &benchServer{pid: cmd.Process.Pid, in: in, out: bufio.NewScanner(out)}
	s.address = s.read(t)
	return s
}

func (s *benchServer) read(t *testing.T) string {
	t.Helper()
	if !s.out.Scan() {
		t.Fatal("the server ended")
	}
	return s.out.Text()
}

// change gives the first instance of a service an address by number, and returns it.
func (s *benchServer) change(t *testing.T, service, number int) (address string) {
	t.Helper()
	address = fmt.Sprintf("10.200.%d.%d", number/250, number%250)
	if _, err := fmt.Fprintln(s.in, service, address); err != nil {
		t.Fatal(err)
	}
	return address
}

// bytes is the size of the responses of one push of a kind.
func (s *benchServer) bytes(t *testing.T, kind mesh.Kind) float64 {
	t.Helper()
	if _, err := fmt.Fprintln(s.in, -1, kind); err != nil {
		t.Fatal(err)
	}
	bytes, err := strconv.ParseFloat(s.read(t), 64)
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}
