package consul

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/hashicorp/consul/api"
)

// TestChangeCostsOneReadOverHTTPS changes services one after the other, each for the first time. It verifies that each
// change costs one response for the service and one for the list, independent of the number of services.
func TestChangeCostsOneReadOverHTTPS(t *testing.T) {
	s, config := startTLS(t, "")
	s.awaitOwnNode()
	const requests = "isthmus_consul_requests_total"
	for _, services := range []int{25, 400} {
		s.fill(services)
		p := runReal(t, Options{Config: &api.Config{Address: config.Address, Scheme: config.Scheme, TLSConfig: config.TLSConfig}})
		p.synced(t)
		eventually(t, "everything is polled", func() bool { return p.source.polls.InFlight() == services && p.source.listPool.InFlight() == 1 })
		for i := range 5 {
			read := metric(t, p.registry, requests, "endpoint=service")
			lists := metric(t, p.registry, requests, "endpoint=services")
			name, port := fmt.Sprintf("fill-%03d", i*3), 1000+services+i
			s.register(fmt.Sprintf("fill-%d", i*3%7), name+"-1", name, func(r *api.CatalogRegistration) { r.Service.Port = port })
			eventually(t, "the change", func() bool { return p.latest(name).Instances[0].Port == port })
			eventually(t, "the list", func() bool { return metric(t, p.registry, requests, "endpoint=services") > lists })
			if got := metric(t, p.registry, requests, "endpoint=service") - read; got != 1 {
				t.Errorf("%d services: the change cost %v reads, expected one", services, got)
			}
		}
		p.metric(requests, 0, "endpoint=index")
		p.logged("level=WARN", 0)
	}
}

// TestAnswersAreCompressed verifies compression: it reads a large service through a relay that counts the bytes.
func TestAnswersAreCompressed(t *testing.T) {
	s, secure := startTLS(t, "")
	const instances = 200
	for i := range instances {
		s.register("n1", fmt.Sprintf("large-%03d", i), "large")
	}
	plain := s.uncompressed(t, servicePath("large"))
	for name, config := range map[string]*api.Config{"HTTP": {Address: s.Address}, "HTTPS": secure} {
		relay := newRelay(t, config.Address)
		config.Address = relay.address()
		p := runReal(t, Options{Config: config})
		p.synced(t)
		if got := len(p.latest("large").Instances); got != instances {
			t.Errorf("%s: got %d instances", name, got)
		}
		if _, received := relay.state(); received > int64(plain)/4 {
			t.Errorf("%s: received %d bytes, but the service alone has %d uncompressed", name, received, plain)
		}
	}
}

// uncompressed returns the length of a response without compression.
func (s *server) uncompressed(t *testing.T, path string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := io.Copy(&body, resp.Body); err != nil || resp.Header.Get("Content-Encoding") != "" {
		t.Fatal(err, resp.Header)
	}
	return body.Len()
}
