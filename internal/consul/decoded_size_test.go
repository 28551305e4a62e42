package consul

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/testutil"
)

// hostileBodies are responses for a service that are small on the wire and large once they are decoded.
var hostileBodies = map[string]struct {
	before, each, after string
	count               int
}{
	"empty-entries": {"[", `{"Node":{},"Service":{}},`, "null]", 2_600_000},
	"empty-checks":  {`[{"Node":{},"Service":{},"Checks":[`, `{},`, "{}]}]", 5_000_000},
	"empty-tags":    {`[{"Node":{},"Service":{"Tags":[`, `"",`, `""]}}]`, 15_000_000},
	"own-entries":   {"[", `{"Node":{"Node":"n"},"Service":{"Service":"own-entries","ID":"a"}},`, "null]", 900_000},
	"long-text":     {`[{"Node":{"Node":"`, strings.Repeat("x", 1000), `"},"Service":{}}]`, 60_000},
}

// hostileCopies is the number of services with each of the hostileBodies.
func hostileCopies() int {
	if testutil.Race {
		return 1
	}
	return 4
}

// hostileServer answers with hostileBodies, compressed, next to a service "web".
func hostileServer(t *testing.T, asked *atomic.Int64) *httptest.Server {
	bodies := map[string]string{}
	for name, b := range hostileBodies {
		var text strings.Builder
		zip := gzip.NewWriter(&text)
		for _, part := range []string{b.before, strings.Repeat(b.each, b.count), b.after} {
			if _, err := io.WriteString(zip, part); err != nil {
				t.Fatal(err)
			}
		}
		if err := zip.Close(); err != nil {
			t.Fatal(err)
		}
		for copy := range hostileCopies() {
			bodies[fmt.Sprint(name, copy)] = text.String()
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Consul-Index", "10")
		w.Header().Set("X-Consul-Lastcontact", "0")
		w.Header().Set("X-Consul-Query-Backend", "blocking-query")
		name := strings.TrimPrefix(r.URL.Path, servicePath(""))
		switch body, hostile := bodies[name]; {
		case r.URL.Query().Get("index") != "":
			<-r.Context().Done()
		case r.URL.Path == servicesPath:
			all := []string{"web"}
			for name := range bodies {
				all = append(all, name)
			}
			fmt.Fprint(w, names(all...))
		case hostile:
			asked.Add(1)
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(w, body)
		case name == "web":
			fmt.Fprint(w, instances("web", "n1/web-1"))
		default:
			fmt.Fprint(w, "[]")
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// TestDecodedSizeIsBounded verifies that responses that are small on the wire and gigabytes once decoded take little memory,
// harm only their own services, and do not keep the initial sync from completing.
func TestDecodedSizeIsBounded(t *testing.T) {
	var asked atomic.Int64
	server := hostileServer(t, &asked)
	runtime.GC()
	stop, peak := make(chan struct{}), make(chan uint64)
	go func() {
		var most uint64
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				peak <- most
				return
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
		}
	}()
	p := runReal(t, Options{Config: &api.Config{Address: server.Listener.Addr().String()}, Limits: Limits{LargeReads: 1}})
	p.synced(t)
	p.expect(t, "web", "n1/web-1")
	close(stop)
	most := <-peak >> 20
	if t.Logf("peak of the heap: %d MiB", most); most > 256 {
		t.Errorf("the heap had %d MiB", most)
	}
	if hostile := int64(hostileCopies() * len(hostileBodies)); asked.Load() < hostile {
		t.Errorf("%d of %d hostile services were read", asked.Load(), hostile)
	}
	if failing := metric(t, p.registry, "isthmus_consul_failing_queries", "reason=too_large"); failing < float64(3*hostileCopies()) {
		t.Errorf("%v services are reported as too large", failing)
	}
}
