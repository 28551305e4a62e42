package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-mesh/isthmus/internal/config"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/file"
	"github.com/isthmus-mesh/isthmus/internal/kube"
	"github.com/isthmus-mesh/isthmus/internal/state"
)

// Kinds of outputs, as in --output.
const (
	outputKube   = "kube"
	outputStdout = "stdout"
	outputDir    = "dir"
	outputXDS    = "xds"
)

// parseOutput splits the value of --output into its kind and its argument.
func parseOutput(text string) (kind, argument string, err error) {
	kind, argument, has := strings.Cut(text, "=")
	switch {
	case (kind == outputKube || kind == outputStdout) && !has:
		return kind, "", nil
	case (kind == outputDir || kind == outputXDS) && argument != "":
		return kind, argument, nil
	default:
		return "", "", fmt.Errorf("output %q is not one of kube, stdout, dir=PATH, xds=ADDRESS", text)
	}
}

// output is an output with the parts that depend on its kind.
type output struct {
	contract.Output
	// store keeps the last known good state. Nil: nothing survives a restart.
	store contract.Store
	// conflicts returns the conflicts that the output detected. Nil: it can't detect any.
	conflicts func() (first any, count int)
}

// newOutput creates the output that the value of --output names, and its store.
func newOutput(c config.Config, value string, stdout io.Writer, log *slog.Logger, registry prometheus.Registerer) (output, error) {
	kind, argument, err := parseOutput(value)
	if err != nil {
		return output{}, err
	}
	if kind == outputKube {
		return newClusterOutput(c, log, registry)
	}
	store, err := newStore(c, kind, log)
	if err != nil {
		return output{}, err
	}
	out := output{store: store}
	switch kind {
	case outputStdout:
		out.Output = file.NewStream(stdout)
	case outputXDS:
		out.Output, err = newXDSOutput(c, argument, log, registry)
	default:
		out.Output, err = file.NewFolder(argument, log)
	}
	return out, err
}

// newClusterOutput creates the output for a Kubernetes API. The objects are the last known good state, so it needs no
// state file.
func newClusterOutput(c config.Config, log *slog.Logger, registry prometheus.Registerer) (output, error) {
	if c.State.File != "" {
		return output{}, errors.New("output kube keeps the last known good state in its objects; remove --state-file and state.file")
	}
	options, err := c.MeshOptions()
	if err != nil {
		return output{}, err
	}
	out, err := newKubeOutput(c, options.Placement, log, kube.NewMetrics(registry))
	if err != nil {
		return output{}, err
	}
	conflicts := func() (any, int) { return out.Conflicts() }
	return output{Output: out, store: out.Store(), conflicts: conflicts}, nil
}

// newStore opens the state file; nil if the configuration has none.
func newStore(c config.Config, kind string, log *slog.Logger) (contract.Store, error) {
	if c.State.File != "" {
		return state.Open(c.State.File, log)
	}
	if kind != outputStdout {
		log.Warn("no state file, a restart loses the last known good state and held removals", "hint", "set --state-file")
	}
	return nil, nil
}
