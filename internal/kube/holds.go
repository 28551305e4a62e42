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
	// Releases count how often somebody released each source: other replicas than the one that did it let go when the
	// count grows. Times would be those of several clocks.
	Releases map[string]int `json:"releases,omitempty"`
}

func statusOf(c *corev1.ConfigMap) (status, error) {
	s := status{Holds: map[string]guard.Hold{}, Releases: map[string]int{}}
	if text := c.Data[statusKey]; text != "" {
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return s, fmt.Errorf("ConfigMap %s/%s: %s is not what isthmus writes; delete the ConfigMap: %w", c.Namespace, c.Name, statusKey, err)
		}
	}
	if s.Holds == nil {
		s.Holds = map[string]guard.Hold{}
	}
	if s.Releases == nil {
		s.Releases = map[string]int{}
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
	holds, edition := m.known()
	if holds == nil {
		return nil // nothing was recalled yet: what is held is not known
	}
	m.match(said, holds)
	waiting := m.obey(said, holds, release)
	term := m.output.term.Load()
	if term != m.term {
		m.term, m.letting = term, map[string]time.Time{}
	}
	if term == nil {
		return nil
	}
	asked := requests(found)
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
		m.wrote(next, holds, asked, edition)
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

// obey lets go what another replica says was released. It returns whether there was any.
func (m *Memory) obey(said status, holds map[string]guard.Hold, release func(source string)) (some bool) {
	m.mu.Lock()
	obeyed := m.obeyed
	m.obeyed = said.Releases
	m.mu.Unlock()
	for source, count := range said.Releases {
		if count <= obeyed[source] {
			continue
		}
		hold, held := holds[source]
		if _, done := m.letting[source]; held && !done && !hold.Released {
			release(source)
			some = true
		}
		delete(m.letting, source)
	}
	return some
}

// letGo releases a source that somebody asked for, once: what is held anew isn't what was asked for. It returns whether
// that has still to be done.
func (m *Memory) letGo(source string, holds map[string]guard.Hold, release func(source string)) bool {
	hold, held := holds[source]
	since, asked := m.letting[source]
	if !held || hold.Released || asked && !since.Equal(hold.Since) {
		return false
	}
	if !asked {
		m.letting[source] = hold.Since
		release(source)
	}
	return true
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
	for _, source := range m.output.options.Sources {
		if count := said.Releases[source]; slices.Contains(asked, source) {
			next.Releases[source] = count + 1
		} else if count > 0 {
			next.Releases[source] = count
		}
	}
	return next
}

// tells says whether a status tells of all holds.
func (s status) tells(holds map[string]guard.Hold) bool {
	for source := range holds {
		if _, ok := s.Holds[source]; !ok {
			return false
		}
	}
	return true
}

// wrote notes what the ConfigMap says by our doing.
func (m *Memory) wrote(now status, holds map[string]guard.Hold, asked []string, edition int) {
	m.mu.Lock()
	m.obeyed = now.Releases
	m.mu.Unlock()
	m.written = edition
	for source, hold := range now.Holds {
		m.told[source] = begins{own: holds[source].Since, said: hold.Since}
	}
	for _, source := range asked {
		delete(m.letting, source)
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
