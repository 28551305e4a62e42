// Package cli implements the commands and flags of isthmus.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/isthmus-mesh/isthmus/internal/config"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	// exitUsage means that a flag, a file or an address is wrong. A retry fails again.
	exitUsage = 2
)

// version is set by the linker.
var version = "dev"

// usageError is an error that the user must fix.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// shutdownTimeout limits the time between the end of the context and the return of Main. It is longer than every regular
// shutdown, xDS drains for 5 s, and shorter than the grace period of a pod, 30 s.
var shutdownTimeout = 20 * time.Second

// errShutdown means that a part of the process didn't stop.
var errShutdown = errors.New("shutdown timed out")

// Main runs a command until it completes or ctx ends, and returns the exit code. After ctx has ended, it returns within
// shutdownTimeout, even if a part of the process hangs, for example in a system call on a file.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := runBounded(ctx, root.ExecuteContext)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "isthmus: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailure
}

// runBounded runs a function until it returns, or until shutdownTimeout has passed since the end of ctx.
func runBounded(ctx context.Context, run func(context.Context) error) error {
	result := make(chan error, 1)
	go func() { result <- run(ctx) }()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-result:
		return err
	case <-time.After(shutdownTimeout):
		return fmt.Errorf("%w after %s", errShutdown, shutdownTimeout)
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "isthmus",
		Short: "Sync services from HashiCorp Consul to an Istio service mesh",
		Long: `isthmus syncs services from HashiCorp Consul to an Istio service mesh. It writes one ServiceEntry for each service and
one WorkloadEntry for each instance, and updates them when Consul changes.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		Args:              noArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(newRun(), newRelease(), newConfig(), newVersion())
	return root
}

// noArgs rejects arguments. The error lists the available commands.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !cmd.HasSubCommands() {
		return usageError{fmt.Errorf("%s takes no arguments, got %q; see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())}
	}
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return usageError{fmt.Errorf("unknown command %q; available commands: %s", args[0], strings.Join(names, ", "))}
}

// exactlyOne requires one argument; the error calls it name.
func exactlyOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{fmt.Errorf("%s takes %s, got %d arguments", cmd.CommandPath(), name, len(args))}
		}
		return nil
	}
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "isthmus %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

func newConfig() *cobra.Command {
	parent := &cobra.Command{
		Use:   "config",
		Short: "Manage configuration files",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	parent.AddCommand(&cobra.Command{
		Use:   "check FILE",
		Short: "Validate a configuration file",
		Long:  "Validate a configuration file. If the file is invalid, the command prints all errors and exits with code 2.",
		Args:  exactlyOne("one file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := config.Load(args[0]); err != nil {
				return usageError{err}
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", args[0])
			return err
		},
	})
	return parent
}
