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
func (s *scenario) show(ctx context.Context) error {
	if s.xds != "" {
		return s.showServed(ctx)
	}
	return s.showObjects(ctx)
}

// showServed prints the ServiceEntry of istiod and verifies that the Kubernetes API has none.
func (s *scenario) showServed(ctx context.Context) error {
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
			return fmt.Errorf("istiod does not have both instances: %v", spec)
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
		return fmt.Errorf("the Kubernetes API has %d ServiceEntries, want none", len(entries.Items))
	}
	say("--- istiod has this ServiceEntry, the Kubernetes API has none")
	return nil
}

// showObjects prints the objects of the Kubernetes API.
func (s *scenario) showObjects(ctx context.Context) error {
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
			return fmt.Errorf("got %d ServiceEntries and %d WorkloadEntries, want 1 and 2", len(entries.Items), len(workloads.Items))
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

// manifest returns the parts of an object that matter to a reader, as YAML.
func manifest(kind, name string, spec any) string {
	text, err := yaml.Marshal(map[string]any{"kind": kind, "metadata": map[string]string{"name": name}, "spec": spec})
	if err != nil {
		return err.Error()
	}
	return string(text)
}
