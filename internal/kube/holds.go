package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// ReleaseAnnotation asks, on the ConfigMap of the holds, to release what is held of the sources that it names, parted by
// commas. It is taken away once that is done.
const ReleaseAnnotation = "isthmus-mesh.github.io/release"

const statusKey = "status"

// status is what the ConfigMap says.
type status struct {
	// Holds are those in force, by source.
	Holds map[string]guard.Hold `json:"holds"`
	// Released says when somebody released a source last: other replicas than the one that did it let go by that.
	Released map[string]time.Time `json:"released,omitempty"`
}

func statusOf(c *corev1.ConfigMap) (status, error) {
	s := status{Holds: map[string]guard.Hold{}, Released: map[string]time.Time{}}
	if text := c.Data[statusKey]; text != "" {
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return s, fmt.Errorf("ConfigMap %s/%s: %s is not what isthmus writes; delete the ConfigMap: %w", c.Namespace, c.Name, statusKey, err)
		}
	}
	if s.Holds == nil {
		s.Holds = map[string]guard.Hold{}
	}
	if s.Released == nil {
		s.Released = map[string]time.Time{}
	}
	return s, nil
}

func (s status) text() (string, error) {
	text, err := json.MarshalIndent(s, "", "  ")
	return string(text), err
}

// requests are the sources that somebody wants to be released.
func requests(c *corev1.ConfigMap) []string {
	return strings.FieldsFunc(c.Annotations[ReleaseAnnotation], func(r rune) bool { return r == ',' || r == ' ' })
}

// cached returns the ConfigMap as the cache has it. One that isn't there has no name.
func (m *Memory) cached(ctx context.Context) (*corev1.ConfigMap, status, error) {
	var found corev1.ConfigMap
	if err := m.output.cache.Get(ctx, m.at, &found); client.IgnoreNotFound(err) != nil {
		return nil, status{}, err
	}
	s, err := statusOf(&found)
	return &found, s, err
}

// watch has the ConfigMap looked at whenever somebody changes it.
func (m *Memory) watch(ctx context.Context) error {
	informer, err := m.output.cache.GetInformer(ctx, &corev1.ConfigMap{}, cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { m.wake.Ring() },
		UpdateFunc: func(any, any) { m.wake.Ring() },
		DeleteFunc: func(any) { m.wake.Ring() },
	})
	return err
}

// keep obeys what the ConfigMap asks for, and has it say what is held.
func (m *Memory) keep(ctx context.Context, release func(source string)) error {
	found, said, err := m.cached(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	holds := maps.Clone(m.holds)
	m.mu.Unlock()
	if holds == nil {
		return nil // nothing was recalled yet: what is held is not known
	}
	asked := requests(found)
	waiting := false
	for source, hold := range holds {
		at, done := said.Released[source]
		if slices.Contains(asked, source) || done && at.After(hold.Since) {
			release(source)
			waiting = true // Remember tells when it is done
		}
	}
	term := m.output.term.Load()
	if waiting || term == nil {
		return nil
	}
	// What is being written is given up when this replica no longer leads; the next term begins with a look.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(*term, cancel)()
	next := status{Holds: holds, Released: maps.Clone(said.Released)}
	for _, source := range asked {
		next.Released[source] = time.Now().UTC()
	}
	if err := m.write(ctx, found, said, next); ctx.Err() == nil {
		return err
	}
	return nil
}

// write brings the ConfigMap up to date, and tells events of what began and ended.
func (m *Memory) write(ctx context.Context, found *corev1.ConfigMap, said, next status) error {
	before, err := said.text()
	if err != nil {
		return err
	}
	text, err := next.text()
	if err != nil || text == before && len(requests(found)) == 0 {
		return err
	}
	ctx, cancel := m.output.writing(ctx)
	defer cancel()
	wanted := found.DeepCopy()
	wanted.Data = map[string]string{statusKey: text}
	delete(wanted.Annotations, ReleaseAnnotation)
	if found.Name == "" {
		wanted.Namespace, wanted.Name = m.at.Namespace, m.at.Name
		wanted.Labels = map[string]string{mesh.ManagedByLabel: mesh.ManagedBy}
		err = m.output.client.Create(ctx, wanted, client.FieldOwner(FieldOwner))
		m.output.metrics.wrote("create", "ConfigMap", err)
	} else {
		// An update names the version that it follows: what somebody asked for meanwhile isn't overwritten.
		err = m.output.client.Update(ctx, wanted, client.FieldOwner(FieldOwner))
		m.output.metrics.wrote("update", "ConfigMap", err)
	}
	if err != nil {
		return err
	}
	for _, event := range changes(said, next) {
		m.tell(ctx, wanted, event)
	}
	return nil
}
