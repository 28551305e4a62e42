// Package command is the command line of isthmus-istiod: the commands of Istio's pilot-discovery, with Consul as a further
// service registry.
package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"istio.io/istio/pilot/cmd/pilot-discovery/app"
	"istio.io/istio/pilot/pkg/bootstrap"
	"istio.io/istio/pilot/pkg/features"
	"istio.io/istio/pkg/cmd"
	"istio.io/istio/pkg/log"
)

// New returns the root command. It replaces the command "discovery" of Istio's, and keeps all others.
func New() *cobra.Command {
	root := app.NewRootCommand()
	root.Use = "isthmus-istiod"
	root.Short = "istiod with Consul as a service registry."
	if stock, _, err := root.Find([]string{"discovery"}); err == nil {
		root.RemoveCommand(stock)
	}
	root.AddCommand(newDiscovery())
	return root
}

// newDiscovery returns the command that runs istiod. Like Istio's, it ignores unknown flags; a misspelled flag of isthmus
// is an error.
func newDiscovery() *cobra.Command {
	args, logging, consul := newArgs(), log.DefaultOptions(), &consulFlags{}
	c := &cobra.Command{
		Use:                "discovery",
		Short:              "Start Istio proxy discovery service, with Consul as a service registry.",
		Args:               cobra.NoArgs,
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
	}
	set := c.PersistentFlags()
	registerArgs(set, args)
	consul.register(set)
	logging.AttachCobraFlags(c)
	args.CtrlZOptions.AttachCobraFlags(c)
	args.KeepaliveOptions.AttachCobraFlags(c)
	c.PreRunE = func(c *cobra.Command, _ []string) error {
		if err := log.Configure(logging); err != nil {
			return err
		}
		if err := completeArgs(args); err != nil {
			return err
		}
		return consul.complete(args)
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		cmd.PrintFlags(c.Flags())
		return run(c.Context(), args, consul)
	}
	return c
}

// run runs istiod until SIGTERM or SIGINT. If Consul is one of the registries, it also runs isthmus, and ends with an error
// when isthmus fails.
func run(ctx context.Context, args *bootstrap.PilotArgs, consul *consulFlags) error {
	stop := make(chan struct{})
	var inits []func(*bootstrap.Server)
	failed := make(chan error, 1)
	finish := func() {}
	if consul.enabled {
		registry, err := newRegistry(consul)
		if err != nil {
			return err
		}
		if features.EnableAmbient {
			log.Warn("ambient does not see the services of Consul: its index reads objects in Kubernetes only; use output kube for ambient")
		}
		inits = append(inits, registry.addTo)
		finish = registry.start(ctx, failed)
		go func() {
			if err := <-failed; err != nil {
				log.Fatalf("reading Consul failed: %v", err)
			}
		}()
	}
	server, err := bootstrap.NewServer(args, inits...)
	if err != nil {
		return fmt.Errorf("failed to create discovery service: %w", err)
	}
	if err := server.Start(stop); err != nil {
		return fmt.Errorf("failed to start discovery service: %w", err)
	}
	cmd.WaitSignal(stop)
	finish()
	server.WaitUntilCompletion()
	return nil
}
