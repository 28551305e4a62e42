package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	istio "istio.io/client-go/pkg/clientset/versioned"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// show is the first half of step 3.
func (s *story) show(ctx context.Context) error {
	if s.xds != "" {
		return s.showServed(ctx)
	}
	return s.showObjects(ctx)
}

// showServed shows what istiod has that the Kubernetes API knows nothing of.
func (s *story) showServed(ctx context.Context) error {
	client, err := istio.NewForConfig(s.kube.REST)
	if err != nil {
		return err
	}
	var spec any
	err = testbed.Poll(ctx, time.Minute, func(ctx context.Context) error {
		if spec, err = s.istiod.Spec(ctx, "ServiceEntry", service+".consul"); err != nil {
			return err
		}
		if !strings.Contains(fmt.Sprint(spec), "version:v2") {
			return fmt.Errorf("istiod has not both instances: %v", spec)
		}
		return nil
	})
	if err != nil {
		return err
	}
	say("%s", strings.ReplaceAll(strings.TrimSpace(manifest("ServiceEntry", service+".consul", spec)), "\n", "\n   "))
	entries, err := client.NetworkingV1().ServiceEntries(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if len(entries.Items) != 0 {
		return fmt.Errorf("there are %d ServiceEntries in the Kubernetes API", len(entries.Items))
	}
	say("--- this is what istiod holds; the Kubernetes API has no ServiceEntry at all")
	return nil
}

// showObjects shows the objects, as the Kubernetes API has them.
func (s *story) showObjects(ctx context.Context) error {
	client, err := istio.NewForConfig(s.kube.REST)
	if err != nil {
		return err
	}
	var objects []string
	err = testbed.Poll(ctx, time.Minute, func(ctx context.Context) error {
		objects = nil
		entries, err := client.NetworkingV1().ServiceEntries(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, entry := range entries.Items {
			objects = append(objects, manifest("ServiceEntry", entry.Name, &entry.Spec))
		}
		workloads, err := client.NetworkingV1().WorkloadEntries(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, workload := range workloads.Items {
			objects = append(objects, manifest("WorkloadEntry", workload.Name, &workload.Spec))
		}
		if len(entries.Items) != 1 || len(workloads.Items) != 2 {
			return fmt.Errorf("%d ServiceEntries and %d WorkloadEntries, not 1 and 2", len(entries.Items), len(workloads.Items))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, object := range objects {
		say("%s", strings.ReplaceAll(strings.TrimSpace(object), "\n", "\n   "))
		say("---")
	}
	return nil
}

// manifest is what a reader wants to see of an object.
func manifest(kind, name string, spec any) string {
	text, err := yaml.Marshal(map[string]any{"kind": kind, "metadata": map[string]string{"name": name}, "spec": spec})
	if err != nil {
		return err.Error()
	}
	return string(text)
}
