// Command demo plays the main job of isthmus on real servers, all on loopback: a request of a meshed consumer
// reaches an instance that only Consul knew. Each step checks what it shows and fails where that isn't so.
//
// OUTPUT=xds has istiod take its services straight from isthmus, by MCP over xDS; OUTPUT=kube, the default, by way of
// the Kubernetes API. KEEP=1 keeps everything up until Ctrl-C. ENVOY names an Envoy of one's own.
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

// play runs the story in a folder of its own, and stops everything that it started.
func play(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "isthmus-demo")
	if err != nil {
		return err
	}
	s, err := newStory(dir, os.Getenv("OUTPUT"))
	if err != nil {
		_ = os.RemoveAll(dir) // it is empty
		return err
	}
	defer func() {
		s.run.Close()
		if err != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w\nthe logs of the servers are in %s", err, dir)
			return
		}
		_ = os.RemoveAll(dir) // what is left of it is temporary
	}()
	return s.tell(ctx)
}
