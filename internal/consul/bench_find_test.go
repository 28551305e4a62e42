package consul

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/consul/detect"
)

// find measures two ways to find the changed services: an index query for each service, as in a scan, or one read of
// all services.
func (b *bench) find(t *testing.T) {
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: benchQueries, MaxIdleConnsPerHost: benchQueries}}
	defer client.CloseIdleConnections()
	get := func(path string) {
		resp, err := client.Get("http://" + b.Address + path)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s, %v", path, resp.Status, err)
		}
	}
	for name, once := range map[string]func(){
		"each service's index": func() {
			var next atomic.Int64
			var group sync.WaitGroup
			for range benchQueries {
				group.Go(func() {
					for i := next.Add(1) - 1; i < int64(b.services); i = next.Add(1) - 1 {
						get(fmt.Sprintf("/v1/health/service/service-%05d?tag=%s", i, detect.UnusedTag))
					}
				})
			}
			group.Wait()
		},
		"everything at once": func() { get("/v1/internal/ui/nodes") },
	} {
		once()
		began, cpu := time.Now(), b.cpu()
		const rounds = 3
		for range rounds {
			once()
		}
		t.Logf("finding a change with %s: %.3f s, Consul CPU %.3f s", name,
			time.Since(began).Seconds()/rounds, (b.cpu()-cpu).Seconds()/rounds)
	}
}
