package kube

import (
	"context"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/guard"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

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
		AddFunc:    func(any) { m.wake.Notify() },
		UpdateFunc: func(any, any) { m.wake.Notify() },
		DeleteFunc: func(any) { m.wake.Notify() },
	})
	return err
}

// keep obeys what the ConfigMap asks for, and has it say what is held.
func (m *Memory) keep(ctx context.Context, release func(source string)) error {
	found, said, err := m.cached(ctx)
	if err != nil {
		return err
	}
	holds, edition := m.known()
	if holds == nil {
		return nil // nothing was recalled yet: what is held is not known
	}
	m.match(said, holds)
	waiting := m.obey(said, holds, release)
	term := m.output.term.Load()
	if term != m.term {
		m.term, m.letting, m.written = term, map[string]time.Time{}, never
	}
	if term == nil {
		return nil
	}
	asked := requests(found)
	maps.DeleteFunc(m.letting, func(source string, _ time.Time) bool { return !slices.Contains(asked, source) })
	for _, source := range asked {
		if m.letGo(source, holds, release) {
			waiting = true
		}
	}
	if waiting {
		return nil // Remember tells when it is done
	}
	next := m.next(said, holds, asked)
	if edition == m.written && len(asked) == 0 && said.tells(holds) {
		return nil // what differs is how another one counts
	}
	// What is being written is given up when this replica no longer leads; the next term begins with a look.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(*term, cancel)()
	err = m.write(ctx, found, said, next)
	if ctx.Err() != nil {
		return nil
	}
	if err == nil {
		m.wrote(next, holds, edition)
	}
	return err
}

// match notes which hold of ours it is that the ConfigMap tells of, as it began at another moment elsewhere.
func (m *Memory) match(said status, holds map[string]guard.Hold) {
	for source := range m.told {
		if _, ok := said.Holds[source]; !ok {
			delete(m.told, source)
		}
	}
	for source, told := range said.Holds {
		if hold, held := holds[source]; held && !m.told[source].said.Equal(told.Since) {
			m.told[source] = begins{own: hold.Since, said: told.Since}
		}
	}
}

// next is what the ConfigMap should say. A hold that it tells of already keeps its begin and reason, so that replicas
// that saw it begin at different moments don't fight.
func (m *Memory) next(said status, holds map[string]guard.Hold, asked []string) status {
	next := status{Holds: maps.Clone(holds), Releases: map[string]int{}}
	for source, hold := range next.Holds {
		told, ok := said.Holds[source]
		if ok && m.told[source].own.Equal(hold.Since) && !told.Since.Equal(hold.Since) {
			hold.Since, hold.Reason = told.Since, told.Reason
			next.Holds[source] = hold
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, source := range m.output.options.Sources {
		count := m.obeyed[source] // also where somebody deleted the ConfigMap
		if slices.Contains(asked, source) {
			count++
		}
		if count > 0 {
			next.Releases[source] = count
		}
	}
	return next
}

// wrote notes what the ConfigMap says by our doing.
func (m *Memory) wrote(now status, holds map[string]guard.Hold, edition int) {
	m.mu.Lock()
	m.obeyed = maps.Clone(now.Releases)
	m.mu.Unlock()
	m.written = edition
	for source, hold := range now.Holds {
		m.told[source] = begins{own: holds[source].Since, said: hold.Since}
	}
}

// write brings the ConfigMap up to date, and has events tell of what began and ended.
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
	m.untold = append(m.untold, changes(wanted, said, next)...)
	return nil
}
