package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

const (
	redis     = "redis"
	redisHost = redis + ".service.consul"
	redisPort = 6379
)

// callByNames is step 4. A program without any knowledge of the mesh calls a service by its bare name, and a TCP
// service by its name and by its virtual address. Its name server is isthmus, and Envoy captures its connections.
func (s *scenario) callByNames(ctx context.Context) error {
	if s.podMissing() {
		say("skipped: %v", s.noPod)
		say("on Debian, install them with: apt-get install iproute2 iptables curl redis-server")
		return nil
	}
	if err := s.startRedis(ctx); err != nil {
		return err
	}
	if _, err := s.enter(ctx, `"version"`, "curl", "--no-progress-meter", "http://"+service+page); err != nil {
		return err
	}
	said, err := s.enter(ctx, redisHost, "getent", "hosts", redisHost)
	if err != nil {
		return err
	}
	address := strings.Fields(said)[0]
	for _, where := range []string{redisHost, address} {
		if _, err := s.enter(ctx, "PONG", "redis-cli", "-h", where, "PING"); err != nil {
			return err
		}
	}
	return s.verifyCapture(ctx, address)
}

// startRedis starts a Redis outside the pod and registers it in Consul.
func (s *scenario) startRedis(context.Context) error {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return err
	}
	address := s.pod.Machines[2]
	_, err = s.run.Start(redis, path, nil, "--bind", address, "--port", fmt.Sprint(redisPort), "--protected-mode", "no", "--save", "")
	if err != nil {
		return err
	}
	err = s.consul.Client().Agent().ServiceRegister(&api.AgentServiceRegistration{
		Name: redis, Address: address, Port: redisPort, Meta: map[string]string{"protocol": "tcp"},
		Check: &api.AgentServiceCheck{TCP: fmt.Sprintf("%s:%d", address, redisPort), Interval: "1s"},
	})
	if err != nil {
		return err
	}
	say("Redis at %s:%d is registered in Consul", address, redisPort)
	return nil
}

// enter runs a command in the pod until its output contains a text, and prints the command and its output.
func (s *scenario) enter(ctx context.Context, want string, line ...string) (said string, err error) {
	err = testbed.Poll(ctx, time.Minute, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second) // without a listener in Envoy the connection gets no response
		defer cancel()
		output, err := s.pod.Command(ctx, line[0], line[1:]...).CombinedOutput()
		said = strings.TrimSpace(string(output))
		if err == nil && !strings.Contains(said, want) {
			err = fmt.Errorf("the output does not contain %s", want)
		}
		if err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(line, " "), err, said)
		}
		return nil
	})
	if err == nil {
		say("$ %s", strings.Join(line, " "))
		say("  %s", said)
	}
	return said, err
}

// verifyCapture verifies that Envoy captured the connections to the virtual address of Redis.
func (s *scenario) verifyCapture(ctx context.Context, address string) error {
	listener, cluster := fmt.Sprintf("%s_%d", address, redisPort), fmt.Sprintf("outbound|%d||%s", redisPort, redisHost)
	listeners, err := s.envoy.Listeners(ctx)
	if err != nil {
		return err
	}
	endpoints, err := s.envoy.Endpoints(ctx, cluster)
	if err != nil {
		return err
	}
	if !listeners[listener] || len(endpoints) != 1 || endpoints[0].Connections < 2 {
		return fmt.Errorf("envoy did not capture the connections to %s: its listeners are %v, the endpoints of %s are %v", address, listeners, cluster, endpoints)
	}
	say("Envoy listener %s captured both connections and forwarded them to %s", listener, endpoints[0].Address)
	return nil
}
