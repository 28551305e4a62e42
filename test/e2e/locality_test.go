package e2e

import (
	"context"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	isthmusd "github.com/isthmus-mesh/isthmus/internal/daemon"
)

// TestLocalityOfSource verifies that the configured region and zone of a source apply to instances that declare none, and that
// they change while the daemon runs.
func TestLocalityOfSource(t *testing.T) {
	w := newHarness(t)
	silent, declared := atPort("silent", 1), atPort("declared", 2)
	declared.meta = map[string]string{"availability-zone": "eu-west-1b"}
	w.register(t, silent, declared)
	file := configFile(t, "sources: [{region: eu-central-1}]\n")
	daemon, err := w.run.StartIsthmus(w.consul, w.kube, "--config", file)
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	await := func(want map[string]string) {
		t.Helper()
		eventually(t, func(ctx context.Context) error {
			for _, i := range []instance{silent, declared} {
				entry, err := w.istio.NetworkingV1().WorkloadEntries(namespace).Get(ctx, i.workloadName(), metav1.GetOptions{})
				if err != nil {
					return err
				}
				if got := entry.Spec.Locality; got != want[i.service] {
					return fmt.Errorf("%s is in %s", i.service, got)
				}
			}
			return nil
		})
	}
	await(map[string]string{"silent": "eu-central-1", "declared": "eu-west-1/eu-west-1b"})
	rewrite(t, file, "sources: [{region: eu-west-1, zone: eu-west-1c}]\n")
	await(map[string]string{"silent": "eu-west-1/eu-west-1c", "declared": "eu-west-1/eu-west-1b"})
	told(t, daemon.Log(), isthmusd.MsgRestartNeeded, 0)
	told(t, daemon.Log(), isthmusd.MsgReloaded, 1)
}
