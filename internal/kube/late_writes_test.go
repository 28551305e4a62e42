package kube

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/isthmus-mesh/isthmus/test/testbed/faults"
)

// TestLateWrites verifies that writes of a previous leader that arrive after another replica has taken over undo
// nothing, and that the previous leader sends no write after its lease may have ended.
func TestLateWrites(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		// change causes the write of the old leader that is delayed.
		change map[string]string
		method string
		want   int
	}{
		{"a change", map[string]string{"1": "v2", "2": "v1"}, http.MethodPatch, http.StatusConflict},
		{"a removal", map[string]string{"2": "v1"}, http.MethodDelete, http.StatusConflict},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ns := "late-" + strings.ToLower(c.method)
			b, api := newFakeState(ns), newClient(t)
			front, config := faults.NewFront(t, apiServer(t).REST)
			b.set("web", map[string]string{"1": "v1", "2": "v1"})
			old := start(t, b, func(o *Options) {
				o.REST = config
				elect(ns, "old")(o)
			})
			eventually(t, 3, func() int { return old.writes(t)["apply"] })
			old.waitReady(t)
			next := start(t, b, elect(ns, "next"))
			next.waitReady(t)

			held := &holder{method: c.method}
			front.Set(held.rule(t))
			b.set("web", c.change)
			eventually(t, true, func() bool { return held.count() > 0 })
			b.set("web", map[string]string{"1": "v3", "2": "v3"})
			eventually(t, 1.0, func() float64 { return next.value(t, "isthmus_leader") })
			sent := held.sent()
			b.set("web-too", map[string]string{"1": "v3"}) // The writes of this service are not delayed.
			eventually(t, slices.Sorted(slices.Values([]string{
				"SE " + ns + "/web.consul", "WLE " + ns + "/" + wle("web", "1") + " v3", "WLE " + ns + "/" + wle("web", "2") + " v3",
				"SE " + ns + "/web-too.consul", "WLE " + ns + "/" + wle("web-too", "1") + " v3",
			})), objects(t, api, ns))
			seen := record(t, ns)
			eventually(t, 0.0, func() float64 { return old.value(t, "isthmus_leader") })
			if more := held.sent() - sent; more > 0 {
				t.Errorf("the old leader sent %d writes after the takeover", more)
			}
			for _, r := range held.kept() {
				if got := front.Late(r); got != c.want {
					t.Errorf("late %s %s got status %d, want %d", r.Method, r.URL.Path, got, c.want)
				}
			}
			b.set("last", map[string]string{"1": "v1"}) // The history is complete when it has this one.
			eventually(t, 1, func() int { return seen.count("ADDED " + wle("last", "1")) })
			if seen.count("MODIFIED") > 0 || seen.count("DELETED") > 0 {
				t.Errorf("objects of the new leader were changed:\n%s", seen)
			}
		})
	}
}

// TestLateCreation verifies that an object that a previous leader creates late, over a newer version of it, is
// corrected at once. A creation names no precondition.
func TestLateCreation(t *testing.T) {
	t.Parallel()
	const ns = "late-creation"
	b, api := newFakeState(ns), newClient(t)
	front, config := faults.NewFront(t, apiServer(t).REST)
	b.set("web", map[string]string{"1": "v1"})
	old := start(t, b, func(o *Options) {
		o.REST = config
		elect(ns, "old")(o)
	})
	eventually(t, 2, func() int { return old.writes(t)["apply"] })
	next := start(t, b, elect(ns, "next"))
	next.waitReady(t)
	held := &holder{method: http.MethodPatch}
	front.Set(held.rule(t))
	b.set("web", map[string]string{"1": "v1", "2": "v2"})
	eventually(t, 1, held.count)
	b.set("web", map[string]string{"1": "v1", "2": "v3"})
	want := slices.Sorted(slices.Values([]string{
		"SE " + ns + "/web.consul", "WLE " + ns + "/" + wle("web", "1") + " v1", "WLE " + ns + "/" + wle("web", "2") + " v3",
	}))
	state := objects(t, api, ns)
	eventually(t, want, state)
	for _, r := range held.kept() {
		front.Late(r)
	}
	eventually(t, want, state)
}

// holder delays the writes of an output, and keeps it from renewing its lease.
type holder struct {
	method string

	mu       sync.Mutex
	requests []*http.Request
	writes   int
}

func (h *holder) rule(t *testing.T) faults.Rule {
	return func(_ http.ResponseWriter, r *http.Request) bool {
		if isWrite(r, "web") {
			h.mu.Lock()
			h.writes++
			h.mu.Unlock()
		}
		switch {
		case isWrite(r, "web") && r.Method == h.method:
			kept := faults.Keep(t, r)
			h.mu.Lock()
			h.requests = append(h.requests, kept)
			h.mu.Unlock()
		case !isLease(r):
			return false
		}
		hang(t.Context(), r)
		return true
	}
}

// sent counts the writes, delayed or not.
func (h *holder) sent() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.writes
}

func (h *holder) count() int { return len(h.kept()) }

func (h *holder) kept() []*http.Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*http.Request(nil), h.requests...)
}
