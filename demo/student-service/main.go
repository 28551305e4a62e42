// Command student-service is a provider as Spring Cloud Consul makes them: it listens on a port and registers itself at
// a Consul agent, with an HTTP health check. The demo calls it through the mesh.
//
// SIGUSR1 makes its health check fail. The next SIGUSR1 makes it pass again.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/consul/api"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var i instance
	consul := flag.String("consul", "127.0.0.1:8500", "address of the Consul agent")
	flag.StringVar(&i.name, "name", "student-service", "name of the service")
	flag.StringVar(&i.version, "version", "v1", "version, as the meta says it")
	flag.StringVar(&i.host, "host", "127.0.0.1", "address to listen on")
	flag.IntVar(&i.port, "port", 0, "port to listen on; 0 takes a free one")
	flag.Parse()
	if err := i.run(ctx, *consul); err != nil {
		fmt.Fprintln(os.Stderr, "student-service:", err)
		os.Exit(1)
	}
}

// instance is one running instance of the service.
type instance struct {
	name, version, host string
	port                int
	down                atomic.Bool
}

// run serves until ctx ends. The instance is registered while it serves.
func (i *instance) run(ctx context.Context, consul string) (err error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(i.host, strconv.Itoa(i.port)))
	if err != nil {
		return err
	}
	i.port = listener.Addr().(*net.TCPAddr).Port
	server := &http.Server{Handler: i.handler(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	client, err := api.NewClient(&api.Config{Address: consul})
	if err != nil {
		return err
	}
	if err := client.Agent().ServiceRegister(i.registration()); err != nil {
		return fmt.Errorf("register at Consul: %w", err)
	}
	defer func() {
		_ = client.Agent().ServiceDeregister(i.id()) // Consul may be stopped already
		err = errors.Join(err, server.Close())
	}()
	fmt.Printf("%s listens on %s\n", i.id(), listener.Addr())
	toggle := make(chan os.Signal, 1)
	signal.Notify(toggle, syscall.SIGUSR1)
	defer signal.Stop(toggle)
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-served:
			return err
		case <-toggle:
			i.down.Store(!i.down.Load())
		}
	}
}

func (i *instance) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /getStudentDetailsForSchool/{school}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, map[string]any{
			"school": r.PathValue("school"), "students": []string{"Ada", "Alan", "Grace"}, "version": i.version,
		})
	})
	mux.HandleFunc("GET /actuator/health", func(w http.ResponseWriter, _ *http.Request) {
		if i.down.Load() {
			answer(w, http.StatusServiceUnavailable, map[string]any{"status": "DOWN"})
			return
		}
		answer(w, http.StatusOK, map[string]any{"status": "UP"})
	})
	return mux
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller may have closed the connection
}

// id is the ID of the instance. Spring uses the name and the port; the instances of the demo have both in common.
func (i *instance) id() string { return fmt.Sprintf("%s-%s-%d", i.name, i.version, i.port) }

func (i *instance) registration() *api.AgentServiceRegistration {
	return &api.AgentServiceRegistration{
		ID: i.id(), Name: i.name, Address: i.host, Port: i.port,
		Meta: map[string]string{"version": i.version, "secure": "false"},
		Check: &api.AgentServiceCheck{
			HTTP:     "http://" + net.JoinHostPort(i.host, strconv.Itoa(i.port)) + "/actuator/health",
			Interval: "1s", Timeout: "1s",
		},
	}
}
