package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

const floorService = floorPrefix + "00000"

// floor does the minimum that a correct program must do for a change: a blocking query on the health of one service,
// over HTTP/2 and TLS, and one write of an object of the same form as that of isthmus. The write is a forced
// server-side apply by isthmus's field manager, with the object's UID and the version of the decision. A floor knows
// one service, remembers only that version, compares nothing, and writes to a namespace that isthmus does not watch.
// Like that of isthmus, its time includes Consul's own write, the round trip to the API server, and the watch event of
// the object.
type floor struct {
	namespace string
	consul    *api.Client
	kube      rest.Interface
	path      string
	// manifest has placeholders for the address, the UID and the version.
	manifest     string
	uid, version string
}

// The placeholders of a manifest.
const anyAddress, anyUID, anyVersion = "@address@", "@uid@", "@version@"

func (b *bed) startFloor(t *testing.T) *floor {
	t.Helper()
	f := &floor{namespace: "floor", consul: b.catalog.client(t)}
	f.kube = makeNamespace(t, b.kube, f.namespace)
	f.path, f.manifest = b.manifest(t, f.namespace)
	if err := f.apply(t.Context(), "10.201.255.255"); err != nil {
		t.Fatal(err)
	}
	following, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.follow(following) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return f
}

// makeNamespace creates a namespace and returns a client of the API server.
func makeNamespace(t *testing.T, kube *testbed.Kube, name string) rest.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(kube.REST)
	if err != nil {
		t.Fatal(err)
	}
	own := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), own, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return client.Discovery().RESTClient()
}

// manifest returns an object that isthmus wrote, of the kind that has the changed address, as an object of the floor's
// service in another namespace.
func (b *bed) manifest(t *testing.T, namespaceOfFloor string) (path, manifest string) {
	t.Helper()
	address := fmt.Sprintf("10.%d.0.0", b.instances-1) // other kinds are changed by others
	var object benchObject
	err := testbed.Poll(t.Context(), benchTimeout, func(ctx context.Context) (err error) {
		object, err = b.object(ctx, numberedService(0), address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	object.SetUID(anyUID)
	object.SetResourceVersion(anyVersion)
	path, manifest = bare(t, object, namespaceOfFloor)
	return path, strings.ReplaceAll(manifest, `"`+address+`"`, `"`+anyAddress+`"`)
}

// bare returns an object of isthmus as an object of a floor's service in another namespace, and its path.
func bare(t *testing.T, object benchObject, in string) (path, manifest string) {
	t.Helper()
	metadata := map[string]any{
		"name": object.GetName(), "namespace": in, "labels": object.GetLabels(), "annotations": object.GetAnnotations(),
	}
	if object.GetUID() != "" {
		metadata["uid"], metadata["resourceVersion"] = object.GetUID(), object.GetResourceVersion()
	}
	kind, resource, spec := describe(object)
	content, err := json.Marshal(map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec,
	})
	if err != nil {
		t.Fatal(err)
	}
	renamed := strings.NewReplacer("service-0", floorPrefix+"0")
	path = fmt.Sprintf("/apis/networking.istio.io/v1/namespaces/%s/%s/%s", in, resource, object.GetName())
	return renamed.Replace(path), renamed.Replace(string(content))
}

// follow writes each change of the service until ctx ends.
func (f *floor) follow(ctx context.Context) error {
	q := &api.QueryOptions{WaitTime: 5 * time.Minute, AllowStale: true}
	known := ""
	for {
		entries, meta, err := f.consul.Health().Service(floorService, "", false, q.WithContext(ctx))
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the benchmark has ended
		}
		if err != nil {
			return fmt.Errorf("the floor's query: %w", err)
		}
		q.WaitIndex = meta.LastIndex
		for _, entry := range entries {
			if address := entry.Service.Address; strings.HasSuffix(entry.Service.ID, "-0") && address != known {
				known = address
				if err := f.apply(ctx, address); err != nil && ctx.Err() == nil {
					return err
				}
			}
		}
	}
}

func (f *floor) apply(ctx context.Context, address string) error {
	body := strings.NewReplacer(anyAddress, address, anyUID, f.uid, anyVersion, f.version).Replace(f.manifest)
	answer, err := f.kube.Patch(types.ApplyPatchType).AbsPath(f.path).Param("fieldManager", "isthmus").Param("force", "true").
		Body([]byte(body)).Do(ctx).Raw()
	if err != nil {
		return fmt.Errorf("the floor's write: %w", errors.Join(err, errors.New(string(answer))))
	}
	var made metav1.PartialObjectMetadata
	if err := json.Unmarshal(answer, &made); err != nil {
		return err
	}
	f.uid, f.version = string(made.UID), made.ResourceVersion
	return nil
}
