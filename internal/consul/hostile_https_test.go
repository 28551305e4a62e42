package consul

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/isthmus-mesh/isthmus/internal/testutil"
)

// gzipBomb returns a small body that decodes to this number of instances without any content.
func gzipBomb(t *testing.T, instances int) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := io.WriteString(w, `[{"Node":{},"Service":{}}`+strings.Repeat(`,{"Node":{},"Service":{}}`, instances-1)+"]")
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// TestHostileServerOverHTTPS verifies that a server that answers all reads of 64 services at once with small bodies that
// decode to millions of instances, over HTTP/2, uses no memory without a limit, and that an ordinary service is read
// meanwhile.
func TestHostileServerOverHTTPS(t *testing.T) {
	const responseBytes, most = 4 << 20, 512 << 20
	services, instances := 64, 1_000_000
	if testutil.Race {
		services, instances = 16, 250_000
	}
	bomb := gzipBomb(t, instances)
	var bombs, concurrent, largest atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Consul-Index", "10")
		w.Header().Set("X-Consul-Query-Backend", "blocking-query")
		w.Header().Set("X-Consul-Lastcontact", "0")
		name, isService := strings.CutPrefix(r.URL.Path, "/v1/health/service/")
		switch {
		case r.URL.Query().Get("index") != "":
			<-r.Context().Done()
		case isService && strings.HasPrefix(name, "bomb-"):
			bombs.Add(1)
			now := concurrent.Add(1)
			defer concurrent.Add(-1)
			for before := largest.Load(); now > before && !largest.CompareAndSwap(before, now); before = largest.Load() {
			}
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb) // the client closes the stream
		case isService:
			fmt.Fprintf(w, `[{"Node":{"Node":"n1","Address":"10.0.0.1","Datacenter":"dc1"},"Service":{"ID":"honest","Service":"honest","Port":80},"Checks":[]}]`)
		case r.URL.Path == servicesPath:
			names := []string{`"honest":[]`}
			for i := range services {
				names = append(names, fmt.Sprintf(`"bomb-%d":[]`, i))
			}
			fmt.Fprintf(w, "{%s}", strings.Join(names, ","))
		default:
			fmt.Fprint(w, "[]")
		}
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	p := runReal(t, Options{
		Config: &api.Config{Address: server.Listener.Addr().String(), Scheme: "https", TLSConfig: api.TLSConfig{InsecureSkipVerify: true}},
		Wait:   time.Second, Limits: Limits{ResponseBytes: responseBytes},
	})
	var peak uint64
	eventually(t, "all bombs are refused and the ordinary service is read", func() bool {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(sample)
		peak = max(peak, sample[0].Value.Uint64())
		return metric(t, p.registry, "isthmus_consul_failing_queries", "reason=too_large") >= float64(services/2)
	})
	p.expect(t, "honest", "n1/honest")
	t.Logf("%d bodies of %d bytes, at most %d at once: at most %d MiB of heap", bombs.Load(), len(bomb), largest.Load(), peak>>20)
	if peak > most {
		t.Errorf("%d MiB of heap, want at most %d", peak>>20, most>>20)
	}
}
