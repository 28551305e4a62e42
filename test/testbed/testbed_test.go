package testbed_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestServers verifies that each server starts and stops, and that goleak finds nothing afterwards.
func TestServers(t *testing.T) {
	testbed.Require(t, testbed.ConsulBinary, testbed.EtcdBinary, testbed.APIServerBinary, testbed.IstiodBinary, testbed.EnvoyBinary)
	r := testbed.ForTest(t)
	if _, err := r.StartConsul(t.Context(), testbed.ConsulOptions{}); err != nil {
		t.Fatal(err)
	}
	kube, err := r.StartKube(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	istiod, err := r.StartIstiod(t.Context(), kube)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.StartEnvoy(t.Context(), istiod); err != nil {
		t.Fatal(err)
	}
}
