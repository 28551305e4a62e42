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

// releasePatience is how long a request to release may take.
const releasePatience = 30 * time.Second

func newRelease() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "release SOURCE",
		Short: "Let go the removals that are held of a source: they are meant",
		Long: `Let go the removals that are held of a source: what disappeared from it is meant to be gone.

Asks the running isthmus by the Kubernetes API, as its kubeconfig allows, or, with a state file, by that file.
Name the same configuration file or flags as for isthmus run.`,
		Example: `  isthmus release consul
  isthmus release consul --config isthmus.yaml
  isthmus release consul --state-file /var/lib/isthmus/state`,
		Args: one("the name of one source"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := f.load(cmd.Flags())
			if err != nil {
				return usageError{err}
			}
			if !c.HasSource(args[0]) {
				return usageError{fmt.Errorf("there is no source %q in the configuration", args[0])}
			}
			return release(cmd.Context(), c, args[0], cmd.OutOrStdout())
		},
	}
	f.registerShared(cmd.Flags())
	return cmd
}

// requester asks a running isthmus.
type requester struct {
	// request returns what is held, and fails where nothing is.
	request func(ctx context.Context) (held string, err error)
	// hold returns what is held by now; false where nothing is.
	hold func(ctx context.Context) (guard.Hold, bool, error)
}

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
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, releasePatience, true, func(ctx context.Context) (bool, error) {
		hold, held, err := ask.hold(ctx)
		if hold.Released {
			later = fmt.Sprintf("; they go as soon as %s has been read, which isthmus is waiting for", source)
		}
		return !held || hold.Released, err
	})
	if err != nil {
		return fmt.Errorf("the release of %s was asked for, but is not done yet: does isthmus run? %w", source, err)
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
	restConfig, err := kubeConfig(c, "the state file of isthmus with --state-file")
	if err != nil {
		return requester{}, err
	}
	ask, err := holdstatus.NewRequest(restConfig, holdsConfigMap(c), source)
	if err != nil {
		return requester{}, err
	}
	return requester{request: ask.Release, hold: ask.Hold}, nil
}
