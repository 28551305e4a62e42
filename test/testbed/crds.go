package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// applyCRDs creates Istio's CRDs and waits until the API server serves them.
func applyCRDs(ctx context.Context, config *rest.Config) error {
	content, err := istioFile("crd-all.gen.yaml")
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := apiextensionsv1.AddToScheme(scheme); err != nil {
		return err
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	var crds []*apiextensionsv1.CustomResourceDefinition
	for {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := decoder.Decode(crd); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("istio's CRDs: %w", err)
		}
		if crd.Name == "" {
			continue
		}
		if err := c.Create(ctx, crd); err != nil {
			return fmt.Errorf("CRD %s: %w", crd.Name, err)
		}
		crds = append(crds, crd)
	}
	return Poll(ctx, startTimeout, func(ctx context.Context) error { return established(ctx, c, crds) })
}

func established(ctx context.Context, c client.Client, crds []*apiextensionsv1.CustomResourceDefinition) error {
	for _, crd := range crds {
		if err := c.Get(ctx, client.ObjectKeyFromObject(crd), crd); err != nil {
			return err
		}
		served := false
		for _, condition := range crd.Status.Conditions {
			served = served || (condition.Type == apiextensionsv1.Established && condition.Status == apiextensionsv1.ConditionTrue)
		}
		if !served {
			return fmt.Errorf("CRD %s is not established", crd.Name)
		}
	}
	return nil
}
