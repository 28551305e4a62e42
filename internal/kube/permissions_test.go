package kube

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/guard"
)

// TestPermissions verifies that the permissions in deploy/rbac.yaml are enough to write, change and remove objects, to
// lead, and to publish holds.
func TestPermissions(t *testing.T) {
	const ns = "consul-services"
	applyFile(t, "../../deploy/rbac.yaml")
	config := daemonREST(t)
	b, c := newFakeState(ns), newClient(t)
	b.set("web", map[string]string{"1": "v1", "2": "v1"})
	r := startWithStore(t, b, func(o *Options) {
		o.REST, o.Grace = config, 0
		o.Election = &Election{
			Namespace: "isthmus", Name: "isthmus-consul", Identity: "one",
			LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 200 * time.Millisecond,
		}
	})
	eventually(t, map[string]int{"apply": 3}, func() map[string]int { return r.writes(t) })
	b.set("web", map[string]string{"1": "v2"})
	eventually(t, []string{"SE consul-services/web.consul", "WLE consul-services/" + wle("web", "1") + " v2"}, objects(t, c, ns))
	b.set("web", nil)
	eventually(t, []string{}, objects(t, c, ns))
	r.Store().Save(contract.Change{Holds: oneHold()})
	eventually(t, []string{"RemovalsHeld"}, events(t, c, ns))
	r.Store().Save(contract.Change{Holds: map[string]guard.Hold{}})
	eventually(t, []string{"RemovalsHeld", "RemovalsReleased"}, events(t, c, ns))
}

// daemonREST returns the API server as the service account of deploy/rbac.yaml reaches it.
func daemonREST(t *testing.T) *rest.Config {
	t.Helper()
	config := rest.CopyConfig(apiServer(t).REST)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:isthmus:isthmus", Groups: []string{"system:serviceaccounts", "system:authenticated"},
	}
	return config
}

// applyFile applies the documents of a YAML file as an administrator.
func applyFile(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(apiServer(t).REST, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	for {
		var object unstructured.Unstructured
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil && slices.Contains([]string{"", "List"}, object.GetKind()) {
			err = errors.New("a document without a kind of one object")
		}
		if err == nil {
			err = c.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(&object), client.FieldOwner("test"))
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
}
