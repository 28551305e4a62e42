package kube

import "github.com/isthmus-mesh/isthmus/internal/guard"

// obey lets go what another replica says was released. It returns whether there was any.
func (m *Memory) obey(said status, holds map[string]guard.Hold, release func(source string)) (some bool) {
	for source, count := range said.Releases {
		if !m.grown(source, count) {
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

// grown notes how often a source was released, and returns whether that is more often than was known: the cache may be
// behind what this replica wrote.
func (m *Memory) grown(source string, count int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if count <= m.obeyed[source] {
		return false
	}
	m.obeyed[source] = count
	return true
}
