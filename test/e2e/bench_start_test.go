package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"

	"github.com/isthmus-mesh/isthmus/internal/kube"
	"github.com/isthmus-mesh/isthmus/test/testbed"
	"github.com/isthmus-mesh/isthmus/test/testbed/bench"
)

// writers is the default number of services that isthmus writes at the same time.
const writers = 16

// measureStart measures the time of a start until all objects are written: with an empty API server, with one that has
// all objects, and with the xds output. The floor writes the same objects afterwards, with the same concurrency.
func (b *bed) measureStart(t *testing.T) {
	b.servers(t)
	start := func(w benchSetup) (took time.Duration, writes int) {
		began := time.Now()
		b.startIsthmus(t, w)
		b.ready(t)
		if w.output == "kube" { // it is ready once it has read the live objects, which are the last known good
			eventually(t, func(context.Context) error {
				if !strings.Contains(b.isthmus.Log(), kube.MessageInitialSync) {
					return errors.New("not everything is compared and written")
				}
				return nil
			})
		}
		return time.Since(began), b.writes(t)
	}
	empty, writes := start(benchSetup{output: "kube"})
	if writes != b.objects() {
		t.Errorf("%d objects cost %d writes", b.objects(), writes)
	}
	b.quiet(t)
	full, again := start(benchSetup{output: "kube"})
	if again != 0 {
		t.Errorf("a start with everything there wrote %d objects", again)
	}
	b.quiet(t)
	xds, _ := start(byXDS)
	b.stopIsthmus()
	floor := b.fill(t)
	rows := []bench.Row{
		{What: "into an empty API server", Value: empty.Seconds(), Floor: floor.Seconds(), Note: fmt.Sprintf("%d writes each", writes)},
		{What: "into one that has everything", Value: full.Seconds(), Note: fmt.Sprintf("%d writes", again)},
		{What: "output xds", Value: xds.Seconds(), Note: "until it can serve everything"},
	}
	for i := range rows {
		rows[i].Line, rows[i].Size, rows[i].Unit = 4, b.String(), "s"
	}
	bench.Add(t, rows...)
}

// byXDS is an isthmus with the xds output, at a port without clients.
var byXDS = benchSetup{output: "xds=127.0.0.1:0", args: []string{"--xds-plaintext"}}

// fill applies all objects of isthmus again, to an empty API server like the one that isthmus started with. It returns
// the time that it took.
func (b *bed) fill(t *testing.T) time.Duration {
	t.Helper()
	const name = "fill"
	objects, err := b.objectsWith(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	type write struct{ path, manifest string }
	var writes []write
	for _, object := range objects {
		object.SetUID("")
		path, manifest := bare(t, object, name)
		writes = append(writes, write{path, manifest})
	}
	client := makeNamespace(t, anotherKube(t), name)
	began := time.Now()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(writers)
	for _, w := range writes {
		group.Go(func() error {
			return client.Patch(types.ApplyPatchType).AbsPath(w.path).Param("fieldManager", "isthmus").
				Body([]byte(w.manifest)).Do(ctx).Error()
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

// anotherKube starts an empty Kubernetes API until the test ends.
func anotherKube(t *testing.T) *testbed.Kube {
	t.Helper()
	kube, err := testbed.ForTest(t).StartKube(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kube.CloseIdle)
	return kube
}
