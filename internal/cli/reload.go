package cli

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/config"
)

// lookInterval is how often the configuration file is looked at. Its content says whether it changed, which holds for
// every editor, file system and mounted ConfigMap; notifications of the system's do not.
const lookInterval = time.Second

// reloader reads the configuration again when its file changes.
type reloader struct {
	path  string
	parse func(content []byte) (config.Config, error)
	// apply brings what may change at once to those that work by it.
	apply func(config.Reload) error
	log   *slog.Logger

	running config.Config
	// known are the namespaces that are watched since the start; nil where none need be.
	known []string
	// seen is what the last look found, settled what was last acted on.
	seen, settled look
}

// look is what is in the file, or why it can't be read.
type look struct {
	content []byte
	failure string
}

func (l look) equal(other look) bool {
	return l.failure == other.failure && bytes.Equal(l.content, other.content)
}

// run looks at the file until ctx ends.
func (r *reloader) run(ctx context.Context) error {
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			r.look()
		}
	}
}

// look acts on what two looks in a row agree on: a file that is being written may be empty for a moment, and an empty
// file is a valid one.
func (r *reloader) look() {
	var now look
	content, err := os.ReadFile(r.path)
	if now.content = content; err != nil {
		now = look{failure: err.Error()}
	}
	agreed := now.equal(r.seen)
	r.seen = now
	if !agreed || now.equal(r.settled) {
		return
	}
	r.settled = now
	r.settle(now)
}

func (r *reloader) settle(now look) {
	newest, err := r.parse(now.content)
	switch {
	case now.failure != "":
		r.refuse(now.failure)
		return
	case err != nil:
		r.refuse(err.Error())
		return
	}
	reload := config.NewReload(r.running, newest, r.known)
	if err := r.apply(reload); err != nil {
		r.refuse(err.Error())
		return
	}
	r.running = reload.Running
	if len(reload.Restart) > 0 {
		r.log.Warn("the configuration file changed, and some entries need a restart", "file", r.path,
			"now", reload.Now, "restart", reload.Restart)
		return
	}
	r.log.Info("the configuration file was read again", "file", r.path, "now", reload.Now)
}

func (r *reloader) refuse(why string) {
	r.log.Error("the configuration file can't be used; what was read before stands", "file", r.path,
		"error", strings.ReplaceAll(why, "\n", "; "))
}

// newReloader makes a reloader that changes the daemon. What it starts from is the configuration that the daemon was
// made of, and the content of the file that it was read from.
func (d *daemon) newReloader(c config.Config, content []byte, path string, parse func([]byte) (config.Config, error)) *reloader {
	return &reloader{
		path: path, parse: parse, apply: d.apply, log: d.log,
		running: c, known: c.Namespaces(),
		seen: look{content: content}, settled: look{content: content},
	}
}

// apply changes the daemon. It fails before it has changed anything.
func (d *daemon) apply(reload config.Reload) error {
	rules, err := rules(reload.Running)
	if err != nil {
		return err
	}
	if reload.Concerns("log.level") {
		setLevel(d.level, reload.Running.Log)
	}
	for i, source := range d.sources {
		if reload.Concerns(fmt.Sprintf("sources[%d].services.", i)) {
			source.Select(selection(reload.Running.Sources[i].Services))
		}
	}
	if reload.Concerns("mesh.") || reload.Concerns("guard.") {
		d.bridge.SetRules(rules)
	}
	return nil
}
