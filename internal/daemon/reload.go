package daemon

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/wait"

	"github.com/isthmus-mesh/isthmus/internal/config"
	"github.com/isthmus-mesh/isthmus/internal/safefile"
)

// pollInterval is the time between two reads of the configuration file. Polling the content works with every editor,
// file system and mounted ConfigMap; notifications of the kernel don't.
const pollInterval = time.Second

// Log messages of the reloader.
const (
	MsgReloaded       = "configuration file reloaded"
	MsgRestartNeeded  = "configuration file reloaded, some entries take effect after a restart"
	MsgConfigRejected = "configuration file rejected, keeping the running configuration"
)

// ConfigFile is a configuration file that is reloaded when it changes.
type ConfigFile struct {
	// Path is the path of the file.
	Path string
	// Content is the content from which Options.Config was parsed.
	Content []byte
	// Parse returns the configuration for a new content. It applies command-line flags and validates the result.
	Parse func(content []byte) (config.Config, error)
	// AnyNamespace says that the output can use a namespace that wasn't configured at the start.
	AnyNamespace bool
}

// reloader polls a configuration file and applies its changes.
type reloader struct {
	ConfigFile
	// apply changes the running parts.
	apply func(config.Reload) error
	log   *slog.Logger

	running config.Config
	// watchedNamespaces are the namespaces that the output has watched since the start. Nil: it watches any.
	watchedNamespaces []string
	// lastSeen is the result of the last poll.
	lastSeen fileState
	// applied is the last state that was applied or rejected.
	applied fileState
	// accepted is the last state that was applied.
	accepted fileState
}

// fileState is the content of the configuration file, or the reason why it can't be read.
type fileState struct {
	content []byte
	failure string
	// file identifies the file. It changes if the file is replaced, and not if it is written in place.
	file fs.FileInfo
}

func readFileState(path string) fileState {
	content, file, err := safefile.Read(path, config.MaxFileSize)
	if err != nil {
		return fileState{failure: err.Error()}
	}
	return fileState{content: content, file: file}
}

func (s fileState) equal(other fileState) bool {
	return s.failure == other.failure && bytes.Equal(s.content, other.content) && s.sameFile(other)
}

func (s fileState) sameFile(other fileState) bool {
	return s.file == nil && other.file == nil || s.file != nil && other.file != nil && os.SameFile(s.file, other.file)
}

func newReloader(running config.Config, file ConfigFile, apply func(config.Reload) error, log *slog.Logger) *reloader {
	start := fileState{content: file.Content}
	start.file, _ = os.Stat(file.Path) // without it, the first poll reads the file as a new one
	r := &reloader{ConfigFile: file, apply: apply, log: log, running: running, lastSeen: start, applied: start, accepted: start}
	if !file.AnyNamespace {
		r.watchedNamespaces = running.Namespaces()
	}
	return r
}

// run polls the file until ctx ends.
func (r *reloader) run(ctx context.Context) error {
	wait.Every(ctx, pollInterval, r.poll)
	return nil
}

// poll reads the file and applies it if two polls in a row return the same content. A file that is being written may be
// empty for a moment, and an empty file is valid.
func (r *reloader) poll() {
	now := readFileState(r.Path)
	unchanged := now.equal(r.lastSeen)
	r.lastSeen = now
	if !unchanged || now.equal(r.applied) {
		return
	}
	if r.applied.equal(r.accepted) && now.failure == "" && bytes.Equal(now.content, r.accepted.content) {
		r.applied, r.accepted = now, now // another file with the running content
		return
	}
	r.applied = now
	r.reload(now)
}

func (r *reloader) reload(now fileState) {
	if now.failure != "" {
		r.reject(now.failure)
		return
	}
	if err := checkComplete(r.accepted.content, now.content, !now.sameFile(r.accepted)); err != nil {
		r.reject(err.Error())
		return
	}
	newest, err := r.Parse(now.content)
	if err != nil {
		r.reject(err.Error())
		return
	}
	reload := config.NewReload(r.running, newest, r.watchedNamespaces)
	if err := r.apply(reload); err != nil {
		r.reject(err.Error())
		return
	}
	r.running, r.accepted = reload.Running, now
	if len(reload.Restart) > 0 {
		r.log.Warn(MsgRestartNeeded, "file", r.Path, "entries", reload.Now, "pending", reload.Restart)
		return
	}
	r.log.Info(MsgReloaded, "file", r.Path, "entries", reload.Now)
}

func (r *reloader) reject(reason string) {
	r.log.Error(MsgConfigRejected, "file", r.Path, "error", strings.ReplaceAll(reason, "\n", "; "))
}

// apply changes the running parts. If it fails, nothing has changed.
func (d *Daemon) apply(reload config.Reload) error {
	rules, err := engineRules(reload.Running)
	if err != nil {
		return err
	}
	if reload.Concerns("log.level") && d.level != nil {
		d.level.Set(reload.Running.Log.SlogLevel())
	}
	rulesChanged := reload.Concerns("mesh.") || reload.Concerns("guard.")
	for i, source := range d.sources {
		rulesChanged = rulesChanged || reload.Concerns(fmt.Sprintf("sources[%d].region", i)) || reload.Concerns(fmt.Sprintf("sources[%d].zone", i))
		if reload.Concerns(fmt.Sprintf("sources[%d].services.", i)) {
			source.Select(selection(reload.Running.Sources[i].Services))
		}
	}
	if rulesChanged {
		d.engine.SetRules(rules)
	}
	return nil
}
