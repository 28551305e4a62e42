// Command demo shows the main use of isthmus on real servers on loopback: a request of a consumer in the mesh reaches
// an instance that is registered in Consul only. Each step checks its result and fails if it is wrong.
//
// With OUTPUT=xds istiod reads the services from isthmus by MCP over xDS. With OUTPUT=kube, the default, it reads them
// from the Kubernetes API. KEEP=1 keeps the servers running until Ctrl-C. ENVOY is the path of another Envoy.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := play(ctx)
	switch {
	case ctx.Err() != nil:
		fmt.Println("\nstopped")
	case err != nil:
		fmt.Fprintln(os.Stderr, "\nthe demo failed:", err)
		os.Exit(1)
	}
}

// play runs the demo in a temporary folder and stops all servers at the end.
func play(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "isthmus-demo")
	if err != nil {
		return err
	}
	s, err := newScenario(dir, os.Getenv("OUTPUT"))
	if err != nil {
		_ = os.RemoveAll(dir) // the folder is empty
		return err
	}
	defer func() {
		s.run.Close()
		if err != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w\nthe logs of the servers are in %s", err, dir)
			return
		}
		_ = os.RemoveAll(dir) // the folder is temporary
	}()
	return s.runSteps(ctx)
}
