package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

const (
	service   = "student-service"
	host      = service + ".service.consul"
	page      = "/getStudentDetailsForSchool/abcschool"
	namespace = "consul-services"
)

// scenario is the state of the demo: the servers that run and the parts that are not available.
type scenario struct {
	run     *testbed.Run
	consul  *testbed.Consul
	kube    *testbed.Kube
	istiod  *testbed.Istiod
	isthmus *testbed.Isthmus
	envoy   *testbed.Envoy
	// noEnvoy is the reason why Envoy is not available.
	noEnvoy error
	caller  *caller
	// pod contains the consumer and its Envoy. Without a pod Envoy is on loopback, and noPod is the reason.
	pod    *testbed.Pod
	noPod  error
	v1, v2 *testbed.Process
	// xds is the address, host:port, of the xDS server of isthmus. It is empty if isthmus writes to the Kubernetes API.
	xds string
	// native is the port of both instances. It is 0 if they have different ports.
	native int
}

// newScenario returns a scenario with the output kube or xds.
func newScenario(dir, output string) (*scenario, error) {
	s := &scenario{run: testbed.New(dir)}
	switch output {
	case "", "kube":
		return s, nil
	case "xds":
		port, err := testbed.FreePort()
		s.xds = fmt.Sprint("127.0.0.1:", port)
		return s, err
	default:
		return nil, fmt.Errorf("OUTPUT=%q is neither kube nor xds", output)
	}
}

// runSteps runs the steps one after the other.
func (s *scenario) runSteps(ctx context.Context) error {
	steps := []struct {
		title string
		parts []func(context.Context) error
	}{
		{"Start Consul, a Kubernetes API, istiod, isthmus, and Envoy as the sidecar of a consumer", parts(s.start)},
		{"Start two instances of " + service + ", which register themselves in Consul", parts(s.register)},
		{"Show the Istio objects of the service and call it through the mesh", parts(s.show, s.call)},
		{"Call services by name from a pod that uses isthmus as its name server", parts(s.callByNames)},
		{"Send 90 % to v1 and 10 % to v2", parts(s.split)},
		{"Fail the health check of v2, let it recover, and stop Consul", parts(s.failHealthCheck, s.stopConsul)},
	}
	for number, step := range steps {
		fmt.Printf("\n%d. %s\n", number+1, step.title)
		for _, play := range step.parts {
			if err := play(ctx); err != nil {
				return fmt.Errorf("step %d: %w", number+1, err)
			}
		}
		if number == 2 && s.envoyMissing() {
			break // all further steps call through the mesh
		}
	}
	if os.Getenv("KEEP") == "1" {
		return s.keep(ctx)
	}
	return s.end()
}

func parts(play ...func(context.Context) error) []func(context.Context) error { return play }

// envoyMissing reports whether calls through the mesh are not possible.
func (s *scenario) envoyMissing() bool { return s.noEnvoy != nil }

// podMissing reports whether calls from a pod are not possible.
func (s *scenario) podMissing() bool { return s.noPod != nil }

// end prints the result. With CI=true a skipped step is an error.
func (s *scenario) end() error {
	missing := errors.Join(s.noEnvoy, s.noPod)
	switch {
	case missing != nil && os.Getenv("CI") == "true":
		return missing
	case s.noEnvoy != nil:
		fmt.Printf("\nCalls through the mesh were skipped: %v\n", s.noEnvoy)
	default:
		fmt.Printf("\nDone, all servers are stopped. \"make demo KEEP=1\" keeps them running.\n")
	}
	return nil
}

// keep prints commands to explore the demo, and waits for Ctrl-C.
func (s *scenario) keep(ctx context.Context) error {
	if err := s.restartConsul(ctx); err != nil {
		return err
	}
	fmt.Println("\nThe servers run until Ctrl-C. Explore them in another terminal:")
	say("export CONSUL_HTTP_ADDR=%s KUBECONFIG=%s", s.consul.Address, s.kube.Kubeconfig)
	if s.xds != "" {
		say("curl %s/debug/configz", s.istiod.HTTP)
	} else {
		say("kubectl get serviceentries,workloadentries -n %s", namespace)
	}
	say("curl %s/metrics", s.isthmus.Admin)
	if s.pod != nil {
		say("%s curl http://%s%s", strings.Join(s.pod.Enter(), " "), service, page)
	} else if s.envoy != nil {
		say("curl -x %s http://%s%s", s.envoy.Proxy, host, page)
	}
	if s.envoy != nil {
		say("curl %s/clusters", s.envoy.Admin)
	}
	<-ctx.Done()
	return nil
}

// say prints a line of a step.
func say(format string, args ...any) { fmt.Printf("   "+format+"\n", args...) }
