package cli

import (
	"context"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/isthmus-mesh/isthmus/internal/config"
)

// newLog creates the log and its level, which a reload can change. Logs of libraries are noise to operators, so they
// appear only at level debug.
func newLog(c config.Log, to io.Writer) (*slog.Logger, *slog.LevelVar) {
	var level slog.LevelVar
	level.Set(c.SlogLevel())
	options := &slog.HandlerOptions{Level: &level, ReplaceAttr: clip}
	var handler slog.Handler = slog.NewTextHandler(to, options)
	if c.Format == "json" {
		handler = slog.NewJSONHandler(to, options)
	}
	// net/http logs to the standard logger, for example a 429 that Consul sends over an idle connection.
	stdlog.SetFlags(0)
	stdlog.SetOutput(slog.NewLogLogger(handler, slog.LevelDebug).Writer())
	libraries := logr.FromSlogHandler(debugOnly{handler, &level})
	klog.SetLogger(libraries)
	ctrllog.SetLogger(libraries)
	return slog.New(handler), &level
}

// debugOnly passes records on only while the level is debug.
type debugOnly struct {
	slog.Handler
	level *slog.LevelVar
}

// Enabled implements slog.Handler.
func (d debugOnly) Enabled(ctx context.Context, level slog.Level) bool {
	return d.level.Level() <= slog.LevelDebug && d.Handler.Enabled(ctx, level)
}

// Handle implements slog.Handler. logr passes errors on without calling Enabled.
func (d debugOnly) Handle(ctx context.Context, record slog.Record) error {
	if !d.Enabled(ctx, record.Level) {
		return nil
	}
	return d.Handler.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (d debugOnly) WithAttrs(attrs []slog.Attr) slog.Handler {
	return debugOnly{d.Handler.WithAttrs(attrs), d.level}
}

// WithGroup implements slog.Handler.
func (d debugOnly) WithGroup(name string) slog.Handler {
	return debugOnly{d.Handler.WithGroup(name), d.level}
}

// maxValue limits the length of a value in the log, in bytes. Names come from Consul, which accepts names of megabytes.
const maxValue = 1024

// clip cuts long values and messages.
func clip(_ []string, attr slog.Attr) slog.Attr {
	switch attr.Value.Kind() {
	case slog.KindString:
		if text := attr.Value.String(); len(text) > maxValue {
			attr.Value = slog.StringValue(clipText(text))
		}
	case slog.KindAny:
		if text := fmt.Sprint(attr.Value.Any()); len(text) > maxValue {
			attr.Value = slog.StringValue(clipText(text))
		}
	}
	return attr
}

// clipText returns the start of a text, with its full length.
func clipText(text string) string {
	return fmt.Sprintf("%s... (%d bytes)", strings.ToValidUTF8(text[:maxValue], ""), len(text))
}
