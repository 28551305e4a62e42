package file

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

// paper is a stream that supports concurrent reads.
type paper struct{ testbed.Log }

// expect waits until the stream has the expected length, and compares it.
func (p *paper) expect(t *testing.T, want string) {
	t.Helper()
	eventually(t, "enough is written", func() bool { return len(p.String()) >= len(want) })
	if diff := cmp.Diff(want, p.String()); diff != "" {
		t.Fatalf("the stream is not as expected:\n%s", diff)
	}
}

const (
	webEntry = `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  labels:
    app: web
  name: web.dc1
  namespace: ns
spec:
  hosts:
  - web.example
`
	webWorkload = `---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  labels: {}
  name: web-1.dc1
  namespace: ns
spec:
  address: 10.0.0.1
`
)

var apiEntry = strings.NewReplacer("web", "api").Replace(webEntry)

func TestStreamWaitsForAllSources(t *testing.T) {
	w, p := newWorld(), &paper{}
	w.setComplete(false)
	s := NewStream(p)
	runs(t, s, w)
	w.want(named("web"), serviceEntry("ns", named("web"), "web.example"), workloadEntry("ns", "web-1.dc1", "10.0.0.1"))
	s.Notify(named("web"))
	// Wake is empty once the output has handled the notification.
	eventually(t, "the change is handled", func() bool { return len(s.Wake) == 0 })
	if s.Ready() == nil || p.String() != "" {
		t.Fatalf("it is ready (%v) or wrote %q", s.Ready(), p)
	}
	w.want(named("api"), serviceEntry("ns", named("api"), "api.example"))
	s.Notify(named("api"))
	w.setComplete(true)
	s.Synced()
	ready(t, s)
	p.expect(t, apiEntry+webEntry+webWorkload) // in the order of the names
	eventually(t, "the writes are reported", func() bool { return w.holds(named("web")) && w.holds(named("api")) })
}

func TestStreamWritesOneDocumentForEachChange(t *testing.T) {
	w, p := newWorld(), &paper{}
	s := NewStream(p)
	runs(t, s, w)
	web := named("web")
	entry, first := serviceEntry("ns", web, "web.example"), workloadEntry("ns", "web-1.dc1", "10.0.0.1")
	w.want(web, entry, first)
	s.Notify(web)
	want := webEntry + webWorkload
	p.expect(t, want)

	moved := workloadEntry("ns", "web-1.dc1", "10.0.0.2")
	w.want(web, entry, moved)
	s.Notify(web)
	want += strings.Replace(webWorkload, "10.0.0.1", "10.0.0.2", 1)
	p.expect(t, want)

	second := workloadEntry("ns", "web-2.dc1", "10.0.0.1")
	w.want(web, entry, moved, second)
	s.Notify(web)
	want += strings.Replace(webWorkload, "web-1", "web-2", 1)
	p.expect(t, want)

	w.want(web, entry, second)
	s.Notify(web)
	want += "---\n# removed: WorkloadEntry ns/web-1.dc1\n"
	p.expect(t, want)

	w.want(web)
	s.Notify(web)
	want += "---\n# removed: ServiceEntry ns/web.dc1\n---\n# removed: WorkloadEntry ns/web-2.dc1\n"
	p.expect(t, want)

	// A removed object is written again when it returns.
	w.want(web, entry, first)
	s.Notify(web)
	p.expect(t, want+webEntry+webWorkload)
}

func TestStreamWritesNothingWithoutAChange(t *testing.T) {
	w, p := newWorld(), &paper{}
	s := NewStream(p)
	runs(t, s, w)
	for _, label := range []string{"api", "web"} {
		w.want(named(label), serviceEntry("ns", named(label), label+".example"))
		s.Notify(named(label))
		eventually(t, "it is written", func() bool { return w.holds(named(label)) })
	}
	w.want(named("api"), serviceEntry("ns", named("api"), "api.example")) // another revision, the same objects
	s.Notify(named("api"))
	s.Notify(named("web"))
	s.Notify(named("never-heard-of"))
	s.Synced()
	eventually(t, "the change is handled", func() bool { return w.holds(named("api")) })
	// The zoo is the last service in the order, so all others are handled before it.
	w.want(named("zoo"), serviceEntry("ns", named("zoo"), "zoo.example"))
	s.Notify(named("zoo"))
	p.expect(t, apiEntry+webEntry+strings.ReplaceAll(webEntry, "web", "zoo"))
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestStreamFailsWithItsWriter(t *testing.T) {
	w := newWorld()
	s := NewStream(brokenPipe{})
	w.want(named("web"), serviceEntry("ns", named("web"), "web.example"))
	s.Notify(named("web"))
	if err := failure(t, s, w); !strings.Contains(err.Error(), "write to the stream: broken pipe") {
		t.Errorf("unexpected error %q", err)
	}
	if w.holds(named("web")) || s.Ready() == nil {
		t.Error("a write is reported")
	}
}
