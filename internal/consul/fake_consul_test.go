package consul

import (
	"cmp"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// script is a fake Consul that answers the requests of each path one by one with scripted steps. It fails the test on an
// unexpected request. A blocking query without a step is held for its wait and then answered with the content of the last
// good step.
type fakeConsul struct {
	t     *testing.T
	mu    sync.Mutex
	steps map[string][]step
	// last holds the last good answer of each path. held holds the index of the query that followed it.
	last map[string]step
	held map[string]string
	// moved holds the indexes in answers to index queries. Without one, an index query gets the index of the last good answer.
	moved map[string]string
	// requests holds all requests as "path?index".
	requests []string
	// most is the maximum number of concurrent requests.
	inFlight, most int
}

func newFakeConsul(t *testing.T) *fakeConsul {
	return &fakeConsul{t: t, steps: map[string][]step{}, last: map[string]step{}, held: map[string]string{}, moved: map[string]string{}}
}

const (
	servicesPath = "/v1/catalog/services"
	selfPath     = "/v1/acl/token/self"
	nodesPath    = "/v1/catalog/nodes"
)

// otherPaths holds the default answers to requests for explanations. A script can override them.
var otherPaths = map[string]step{
	selfPath:  sent(0).fails(500, "not to be asked"),
	nodesPath: sent(0).says(10, "[]"),
}

func servicePath(name string) string { return "/v1/health/service/" + name }

// list adds answers for the list of services to the script.
func (s *fakeConsul) list(steps ...step) {
	s.steps[servicesPath] = append(s.steps[servicesPath], steps...)
}

// service adds answers for one service to the script.
func (s *fakeConsul) service(name string, steps ...step) {
	s.steps[servicePath(name)] = append(s.steps[servicePath(name)], steps...)
}

// RoundTrip implements http.RoundTripper.
func (s *fakeConsul) RoundTrip(req *http.Request) (*http.Response, error) {
	st := s.next(req)
	defer s.answered()
	if st.hang {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	select {
	case <-time.After(st.after):
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	if st.err != nil {
		return nil, st.err
	}
	header := http.Header{}
	header.Set("X-Consul-Index", st.index)
	header.Set("X-Consul-Lastcontact", "0")
	header.Set("X-Consul-Query-Backend", "blocking-query")
	for k, v := range st.header {
		header.Set(k, v)
	}
	return &http.Response{
		StatusCode: st.status, ProtoMajor: 1, ProtoMinor: 1, Header: header, Request: req,
		Body: io.NopCloser(strings.NewReader(st.body)),
	}, nil
}

func (s *fakeConsul) next(req *http.Request) step {
	s.mu.Lock()
	defer s.mu.Unlock()
	path, index := req.URL.Path, req.URL.Query().Get("index")
	aside, ok := otherPaths[path]
	if _, scripted := s.steps[path]; ok && !scripted {
		s.inFlight++
		return aside
	}
	s.requests = append(s.requests, path+"?"+index)
	s.inFlight++
	s.most = max(s.most, s.inFlight)
	if req.URL.Query().Has("tag") {
		return s.indexQuery(path, req.URL.Query())
	}
	if q := req.URL.Query(); (index != "") != q.Has("wait") || (index == "") != q.Has("consistent") {
		s.t.Errorf("%s: a query needs an index and a wait, or must be consistent: %s", path, req.URL.RawQuery)
	}
	steps, ok := s.steps[path]
	if !ok {
		s.t.Errorf("unexpected request: %s", req.URL)
		return step{hang: true}
	}
	// The next step is for later, after the query that is held now has ended.
	if len(steps) == 0 || index != "" && steps[0].expect != index {
		return s.hold(path, index, req.URL.Query().Get("wait"))
	}
	if steps[0].expect != index {
		s.t.Errorf("%s: got index %q, expected %q", path, index, steps[0].expect)
	}
	if steps[0].status == http.StatusOK && steps[0].index > "1" {
		s.last[path] = steps[0]
	}
	s.steps[path] = steps[1:]
	return steps[0]
}

// indexQuery answers a request for the index of a service.
func (s *fakeConsul) indexQuery(path string, q url.Values) step {
	if len(q) != 1 {
		s.t.Errorf("%s: an index query must not wait, and must ask the leader: %s", path, q)
	}
	s.requests[len(s.requests)-1] = path + " index query"
	return step{status: http.StatusOK, index: cmp.Or(s.moved[path], s.last[path].index), body: "[]"}
}

func (s *fakeConsul) answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
}

func (s *fakeConsul) hold(path, index, wait string) step {
	st := s.last[path]
	if index == "" || index != st.index {
		s.t.Errorf("%s: unexpected request with index %q after the last step's %q", path, index, st.index)
		return step{hang: true}
	}
	d, err := time.ParseDuration(wait)
	if err != nil {
		s.t.Errorf("%s: a wait of %q: %v", path, wait, err)
	}
	s.held[path] = index
	st.after = d
	return st
}
