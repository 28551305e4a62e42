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

	"github.com/isthmus-mesh/isthmus/test/testbed"
	"github.com/isthmus-mesh/isthmus/test/testbed/bench"
)

// writers is how many services isthmus writes at the same time by default.
const writers = 16

// measureStart times a start until everything is written, into an API server that has nothing and into one that has
// everything, and by xDS. The floor writes the same objects afterwards, as many at once.
func (b *bed) measureStart(t *testing.T) {
	b.servers(t)
	start := func(w way) (took time.Duration, writes int) {
		began := time.Now()
		b.startIsthmus(t, w)
		b.ready(t)
		if w.output == "kube" { // it is ready once it knows what stands, as that is the last known good
			eventually(t, func(context.Context) error {
				if !strings.Contains(b.isthmus.Log(), "initial sync complete") {
					return errors.New("not everything is compared and written")
				}
				return nil
			})
		}
		return time.Since(began), b.writes(t)
	}
	empty, writes := start(way{output: "kube"})
	if writes != b.objects() {
		t.Errorf("%d objects cost %d writes", b.objects(), writes)
	}
	b.quiet(t)
	full, again := start(way{output: "kube"})
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

// byXDS is an isthmus that serves istiod, at a port that nobody asks for.
var byXDS = way{output: "xds=127.0.0.1:0", args: []string{"--xds-plaintext"}}

// fill applies everything that isthmus wrote once more, to an API server that is as empty as the one that isthmus began
// with. It returns how long that took.
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

// anotherKube starts a Kubernetes API that has nothing, until the test ends.
func anotherKube(t *testing.T) *testbed.Kube {
	t.Helper()
	kube, err := testbed.ForTest(t).StartKube(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kube.CloseIdle)
	return kube
}
