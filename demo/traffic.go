package main

import (
	"context"
	"fmt"
	"time"

	networking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	istio "istio.io/client-go/pkg/clientset/versioned"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// call is the second half of step 3. It calls the service without a port and with its native port.
func (s *scenario) call(ctx context.Context) error {
	if s.envoyMissing() {
		return nil
	}
	if err := s.caller.waitBoth(ctx); err != nil {
		return err
	}
	hosts := []string{host}
	if s.native != 0 {
		hosts = append(hosts, fmt.Sprintf("%s:%d", host, s.native))
	}
	for _, host := range hosts {
		version, err := s.caller.call(ctx, host)
		if err != nil {
			return err
		}
		say("GET http://%s%s: 200, answered by %s", host, page, version)
	}
	return nil
}

// split is step 5. It splits the traffic by version.
func (s *scenario) split(ctx context.Context) error {
	client, err := istio.NewForConfig(s.kube.REST)
	if err != nil {
		return err
	}
	rule := &networkingv1.DestinationRule{
		ObjectMeta: metav1.ObjectMeta{Name: service},
		Spec: networking.DestinationRule{Host: host, Subsets: []*networking.Subset{
			{Name: "v1", Labels: map[string]string{"version": "v1"}},
			{Name: "v2", Labels: map[string]string{"version": "v2"}},
		}},
	}
	if _, err := client.NetworkingV1().DestinationRules(s.rulesIn()).Create(ctx, rule, metav1.CreateOptions{}); err != nil {
		return err
	}
	route := &networkingv1.VirtualService{
		ObjectMeta: metav1.ObjectMeta{Name: service},
		Spec: networking.VirtualService{
			Hosts: []string{host},
			Http:  []*networking.HTTPRoute{{Route: []*networking.HTTPRouteDestination{to("v1", 90), to("v2", 10)}}},
		},
	}
	if _, err := client.NetworkingV1().VirtualServices(s.rulesIn()).Create(ctx, route, metav1.CreateOptions{}); err != nil {
		return err
	}
	say("applied a DestinationRule with the subsets v1 and v2, and a VirtualService 90/10")
	answers, err := s.waitSplit(ctx)
	if err != nil {
		return err
	}
	say("200 calls: %d answered by v1, %d by v2", answers["v1"], answers["v2"])
	// With this route one call in ten would fail while v2 is unhealthy in the next step.
	return client.NetworkingV1().VirtualServices(s.rulesIn()).Delete(ctx, service, metav1.DeleteOptions{})
}

// rulesIn returns the namespace of the routing rules: the namespace of the services, or the namespace of the caller
// with the xds output, because the former need not exist then.
func (s *scenario) rulesIn() string {
	if s.xds != "" {
		return metav1.NamespaceDefault
	}
	return namespace
}

// waitSplit waits until Envoy applies the route. Of 200 calls v2 then gets 20, plus or minus five times the standard
// deviation.
func (s *scenario) waitSplit(ctx context.Context) (answers map[string]int, err error) {
	err = testbed.Poll(ctx, time.Minute, func(ctx context.Context) error {
		if answers, err = s.caller.calls(ctx, 200); err != nil {
			return err
		}
		if answers["v2"] < 1 || answers["v2"] > 41 {
			return fmt.Errorf("v2 answered %d of 200 calls", answers["v2"])
		}
		return nil
	})
	return answers, err
}

func to(subset string, weight int32) *networking.HTTPRouteDestination {
	return &networking.HTTPRouteDestination{
		Destination: &networking.Destination{Host: host, Subset: subset}, Weight: weight,
	}
}
