package e2e

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/config"
	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// TestDeployXDS verifies the manifest for xDS: a real API server accepts every object, knows every field, and admits
// its pods to a namespace with the "restricted" policy. The configuration in it is valid, and every file in the
// configuration or the arguments is on a volume.
func TestDeployXDS(t *testing.T) {
	requireAll(t)
	run := testbed.ForTest(t)
	kube, err := run.StartKube(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(kube.REST, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]*unstructured.Unstructured{}
	for _, object := range readManifest(t, "../../deploy/xds.yaml") {
		objects[object.GetKind()] = object
		if err := c.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("test")); err != nil {
			t.Errorf("%s: %v", object.GetKind(), err)
		}
	}
	var set appsv1.StatefulSet
	var files corev1.ConfigMap
	convert(t, objects["StatefulSet"], &set)
	convert(t, objects["ConfigMap"], &files)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "isthmus-0", Namespace: set.Namespace}, Spec: set.Spec.Template.Spec}
	pod.Labels = set.Spec.Template.Labels
	for _, claim := range set.Spec.VolumeClaimTemplates {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: claim.Name})
	}
	if err := c.Create(t.Context(), pod, client.DryRunAll); err != nil {
		t.Errorf("its pod: %v", err)
	}

	container := set.Spec.Template.Spec.Containers[0]
	parsed, err := config.Parse([]byte(files.Data["isthmus.yaml"]))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{parsed.Sources[0].TokenFile, parsed.XDS.TLS.CertFile, parsed.XDS.TLS.KeyFile}
	for _, flag := range []string{"--config=", "--state-file="} {
		for _, argument := range container.Args {
			if value, ok := strings.CutPrefix(argument, flag); ok {
				names = append(names, value)
			}
		}
	}
	if len(names) != 5 {
		t.Errorf("it names the files %q", names)
	}
	for _, name := range names {
		if !mounted(container, name) {
			t.Errorf("%q is on no volume", name)
		}
	}
}

func mounted(container corev1.Container, file string) bool {
	for _, mount := range container.VolumeMounts {
		if within, err := filepath.Rel(mount.MountPath, file); err == nil && file != "" && !strings.HasPrefix(within, "..") {
			return true
		}
	}
	return false
}

func convert(t *testing.T, object *unstructured.Unstructured, into any) {
	t.Helper()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, into, true); err != nil {
		t.Fatal(err)
	}
}

// readManifest returns the documents of a YAML file.
func readManifest(t *testing.T, path string) (objects []*unstructured.Unstructured) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, object)
	}
}
