package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// server is one of the programs that the demo starts.
type server struct {
	name  string
	start func(context.Context) (where string, err error) // an empty address means that the program is not available
}

// start is step 1.
func (s *scenario) start(ctx context.Context) error {
	servers := []server{{"Consumer's pod", s.startPod}, {"Consul", s.startConsul}, {"Kubernetes API", s.startKube}}
	if s.xds != "" { // istiod exits if its config source does not respond
		servers = append(servers, server{"isthmus", s.startIsthmus}, server{"istiod", s.startIstiod})
	} else {
		servers = append(servers, server{"istiod", s.startIstiod}, server{"isthmus", s.startIsthmus})
	}
	for _, part := range append(servers, server{"Envoy", s.startEnvoy}) {
		began := time.Now()
		where, err := part.start(ctx)
		if err != nil {
			return err
		}
		if where == "" {
			say("%-15s not available", part.name)
			continue
		}
		say("%-15s %-24s ready after %d ms", part.name, where, time.Since(began).Milliseconds())
	}
	return nil
}

func (s *scenario) startPod(ctx context.Context) (_ string, err error) {
	if _, s.noPod = testbed.Binary(testbed.EnvoyBinary); !s.podMissing() {
		s.noPod = testbed.PodPossible(ctx, "curl", "getent", "redis-server", "redis-cli")
	}
	if s.podMissing() {
		return "", nil
	}
	s.pod, err = s.run.StartPod(ctx, testbed.PodOptions{Search: []string{"service.consul"}})
	if err != nil {
		return "", err
	}
	return s.pod.Address, nil
}

func (s *scenario) startConsul(ctx context.Context) (_ string, err error) {
	if s.consul, err = s.run.StartConsul(ctx, testbed.ConsulOptions{Persistent: true}); err != nil {
		return "", err
	}
	return "http://" + s.consul.Address, nil
}

func (s *scenario) startKube(ctx context.Context) (_ string, err error) {
	if s.kube, err = s.run.StartKube(ctx); err != nil {
		return "", err
	}
	return s.kube.REST.Host, nil
}

func (s *scenario) startIstiod(ctx context.Context) (_ string, err error) {
	var options testbed.IstiodOptions
	if s.xds != "" {
		options.ConfigSources = []string{fmt.Sprintf("{address: \"xds://%s\"}", s.xds)}
	}
	if s.pod != nil {
		options.Address = s.pod.Gateway
	}
	if s.istiod, err = s.run.StartIstiodWith(ctx, s.kube, options); err != nil {
		return "", err
	}
	return s.istiod.HTTP, nil
}

func (s *scenario) startIsthmus(ctx context.Context) (_ string, err error) {
	config, err := s.run.Config(settings)
	if err != nil {
		return "", err
	}
	args := []string{"--namespace", namespace, "--config", config}
	if s.pod != nil {
		args = append(args, "--dns-addr", s.pod.Gateway+":53")
	}
	if s.xds != "" {
		args = append(args, "--output", "xds="+s.xds, "--xds-plaintext")
	}
	if s.isthmus, err = s.run.StartIsthmus(s.consul, s.kube, args...); err != nil {
		return "", err
	}
	return s.isthmus.Admin, s.isthmus.Wait(ctx)
}

// settings is the configuration of isthmus. The bare name of a service becomes a host, and loopback addresses are
// allowed, because the services of the demo listen there.
const settings = `mesh:
  hosts: ["{{ .Name }}"]
  addresses: {allow: [127.0.0.0/8, localhost.localdomain]}
`

func (s *scenario) startEnvoy(ctx context.Context) (_ string, err error) {
	if _, s.noEnvoy = testbed.Binary(testbed.EnvoyBinary); s.envoyMissing() {
		return "", nil
	}
	if s.pod != nil {
		s.envoy, err = s.pod.StartEnvoy(ctx, s.istiod)
	} else {
		s.envoy, err = s.run.StartEnvoy(ctx, s.istiod)
	}
	if err != nil {
		return "", err
	}
	s.caller = newCaller(s.envoy)
	return s.envoy.Admin, nil
}

// register is step 2.
func (s *scenario) register(ctx context.Context) error {
	hosts, ports, err := s.places()
	if err != nil {
		return err
	}
	path, err := testbed.Binary(testbed.StudentBinary)
	if err != nil {
		return err
	}
	for i, process := range []**testbed.Process{&s.v1, &s.v2} {
		version := "v" + strconv.Itoa(i+1)
		*process, err = s.run.Start(service+"-"+version, path, nil, "--consul", s.consul.Address, "--name", service,
			"--version", version, "--host", hosts[i], "--port", strconv.Itoa(ports[i]))
		if err != nil {
			return err
		}
		say("%s of %s at http://%s", version, service, net.JoinHostPort(hosts[i], strconv.Itoa(ports[i])))
	}
	if s.native == 0 {
		say("this machine has only one loopback address: the ports differ, and the call to the native port is skipped")
	}
	return s.waitHealth(ctx, "passing", "passing")
}

// places finds an address and a port for each of the two instances. If the pod or the loopback interface of Linux
// reaches this machine at a second address, both instances have the same port, otherwise two ports.
func (s *scenario) places() (hosts [2]string, ports [2]int, err error) {
	if s.pod != nil {
		s.native = 9098
		return [2]string(s.pod.Machines), [2]int{s.native, s.native}, nil
	}
	for i := range ports {
		hosts[i] = "127.0.0.1"
		if ports[i], err = testbed.FreePort(); err != nil {
			return hosts, ports, err
		}
	}
	second, err := net.Listen("tcp", "127.0.0.2:"+strconv.Itoa(ports[0]))
	if err != nil {
		return hosts, ports, nil //nolint:nilerr // the address does not exist, or its port is in use
	}
	hosts[1], ports[1], s.native = "127.0.0.2", ports[0], ports[0]
	return hosts, ports, second.Close()
}

// waitHealth waits until Consul reports the given health of v1 and v2.
func (s *scenario) waitHealth(ctx context.Context, v1, v2 string) error {
	client := s.consul.Client()
	want := map[string]string{"v1": v1, "v2": v2}
	return testbed.Poll(ctx, time.Minute, func(context.Context) error {
		entries, _, err := client.Health().Service(service, "", false, nil)
		if err != nil {
			return err
		}
		got := map[string]string{}
		for _, entry := range entries {
			got[entry.Service.Meta["version"]] = entry.Checks.AggregatedStatus()
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("consul reports the health %v, want %v", got, want)
		}
		return nil
	})
}
