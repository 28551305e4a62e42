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

// story is what the demo has started so far.
type story struct {
	run     *testbed.Run
	consul  *testbed.Consul
	kube    *testbed.Kube
	istiod  *testbed.Istiod
	isthmus *testbed.Isthmus
	envoy   *testbed.Envoy
	// noEnvoy says why there is no Envoy.
	noEnvoy error
	caller  *caller
	// pod is where the consumer and its Envoy are; without one, which noPod says why, Envoy is on loopback.
	pod    *testbed.Pod
	noPod  error
	v1, v2 *testbed.Process
	// xds is where isthmus serves istiod, host:port; empty where it writes to the Kubernetes API.
	xds string
	// native is the port of both instances; 0 where each has another.
	native int
}

// newStory makes a story whose output is kube, or xds.
func newStory(dir, output string) (*story, error) {
	s := &story{run: testbed.New(dir)}
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

// tell plays the steps one after the other.
func (s *story) tell(ctx context.Context) error {
	steps := []struct {
		title string
		parts []func(context.Context) error
	}{
		{"Start Consul, a Kubernetes API, istiod, isthmus, and Envoy as the sidecar of a consumer", parts(s.start)},
		{"Start two instances of " + service + ", which register themselves in Consul", parts(s.register)},
		{"See what isthmus made of them, and call the service through the mesh", parts(s.show, s.call)},
		{"Call by what was always typed, from a pod that knows of no mesh and has isthmus as its name server", parts(s.callByNames)},
		{"Send 90 % to v1 and 10 % to v2", parts(s.split)},
		{"Take v2's health away and give it back; then stop Consul", parts(s.sicken, s.stopConsul)},
	}
	for number, step := range steps {
		fmt.Printf("\n%d. %s\n", number+1, step.title)
		for _, play := range step.parts {
			if err := play(ctx); err != nil {
				return fmt.Errorf("step %d: %w", number+1, err)
			}
		}
		if number == 2 && s.noEnvoy != nil {
			break // all that follows is calls through the mesh
		}
	}
	if os.Getenv("KEEP") == "1" {
		return s.keep(ctx)
	}
	return s.end()
}

func parts(play ...func(context.Context) error) []func(context.Context) error { return play }

// end says how it ended. CI must not take a part of the story for the whole.
func (s *story) end() error {
	missing := errors.Join(s.noEnvoy, s.noPod)
	switch {
	case missing != nil && os.Getenv("CI") == "true":
		return missing
	case s.noEnvoy != nil:
		fmt.Printf("\nThe calls through the mesh were left out: %v\n", s.noEnvoy)
	default:
		fmt.Printf("\nDone, and everything is stopped again. \"make demo KEEP=1\" keeps it up to look around.\n")
	}
	return nil
}

// keep waits for Ctrl-C, and says what can be looked at meanwhile.
func (s *story) keep(ctx context.Context) error {
	if err := s.restartConsul(ctx); err != nil {
		return err
	}
	fmt.Println("\nEverything stays up until Ctrl-C. In another terminal:")
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
