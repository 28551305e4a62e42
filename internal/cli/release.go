package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/isthmus-mesh/isthmus/internal/config"
	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/kube/holdstatus"
	"github.com/isthmus-mesh/isthmus/internal/state"
)

// releaseTimeout limits the wait for the running isthmus to act on a request.
const releaseTimeout = 30 * time.Second

func newRelease() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "release SOURCE",
		Short: "Release held removals of a source",
		Long: `Release held removals of a source. It confirms that the missing services and instances are gone for good.

The request reaches the running isthmus through the Kubernetes API, with the permissions of the kubeconfig, or through
the state file. Use the same configuration file or flags as for "isthmus run".`,
		Example: `  # Release the held removals of the source "consul"
  isthmus release consul

  # Use the configuration file of the running isthmus
  isthmus release consul --config isthmus.yaml

  # Use the state file of an isthmus without Kubernetes
  isthmus release consul --state-file /var/lib/isthmus/state`,
		Args: exactlyOne("the name of one source"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := f.load(cmd.Flags())
			if err != nil {
				return usageError{err}
			}
			if !c.HasSource(args[0]) {
				return usageError{fmt.Errorf("the configuration has no source %q", args[0])}
			}
			return release(cmd.Context(), c, args[0], cmd.OutOrStdout())
		},
	}
	f.registerShared(cmd.Flags())
	return cmd
}

// requester sends requests to a running isthmus.
type requester struct {
	// request asks to release the held removals. It returns their number, and an error if nothing is held.
	request func(ctx context.Context) (held string, err error)
	// hold returns the hold that is in force; false if there is none.
	hold func(ctx context.Context) (guard.Hold, bool, error)
}

// release requests a release and waits until the running isthmus acts on it.
func release(ctx context.Context, c config.Config, source string, out io.Writer) error {
	ask, err := newRequester(c, source)
	if err != nil {
		return err
	}
	held, err := ask.request(ctx)
	if err != nil {
		return err
	}
	later := ""
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, releaseTimeout, true, func(ctx context.Context) (bool, error) {
		hold, held, err := ask.hold(ctx)
		if hold.Released {
			later = fmt.Sprintf("; the release takes effect after the next successful sync of %s", source)
		}
		return !held || hold.Released, err
	})
	if err != nil {
		return fmt.Errorf("release of %s requested but not confirmed: %w; check that isthmus is running", source, err)
	}
	_, err = fmt.Fprintf(out, "%s: released, %s%s\n", source, held, later)
	return err
}

func newRequester(c config.Config, source string) (requester, error) {
	if file := c.State.File; file != "" {
		return requester{
			request: func(context.Context) (string, error) { return state.Request(file, source) },
			hold:    func(context.Context) (guard.Hold, bool, error) { return state.Held(file, source) },
		}, nil
	}
	restConfig, err := kubeConfig(c, "set --state-file to the state file of isthmus")
	if err != nil {
		return requester{}, err
	}
	ask, err := holdstatus.NewRequest(restConfig, holdsConfigMap(c), source)
	if err != nil {
		return requester{}, err
	}
	return requester{request: ask.Release, hold: ask.Hold}, nil
}
