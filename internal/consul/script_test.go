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

// A script is a Consul that answers each path's requests one by one as told, and fails the test on a
// request that isn't in it. A blocking query that no step answers is held for its wait and answered with
// the content of the last good step.
type script struct {
	t     *testing.T
	mu    sync.Mutex
	steps map[string][]step
	// last are the last good answers; held are the indexes that were sent after them.
	last map[string]step
	held map[string]string
	// moved are the indexes that probes are answered with; others are that of the last good answer.
	moved map[string]string
	// requests are all that came, as "path?index".
	requests []string
	// most is the largest number of requests in flight at once.
	inFlight, most int
}

func newScript(t *testing.T) *script {
	return &script{t: t, steps: map[string][]step{}, last: map[string]step{}, held: map[string]string{}, moved: map[string]string{}}
}

const (
	servicesPath = "/v1/catalog/services"
	selfPath     = "/v1/acl/token/self"
	nodesPath    = "/v1/catalog/nodes"
)

// asides are the answers to requests that only explain, where a script has none.
var asides = map[string]step{
	selfPath:  sent(0).fails(500, "not to be asked"),
	nodesPath: sent(0).says(10, "[]"),
}

func servicePath(name string) string { return "/v1/health/service/" + name }

// list scripts the answers on the list of services.
func (s *script) list(steps ...step) { s.steps[servicesPath] = append(s.steps[servicesPath], steps...) }

// service scripts the answers on one service.
func (s *script) service(name string, steps ...step) {
	s.steps[servicePath(name)] = append(s.steps[servicePath(name)], steps...)
}

// RoundTrip implements http.RoundTripper.
func (s *script) RoundTrip(req *http.Request) (*http.Response, error) {
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
	for k, v := range st.header {
		header.Set(k, v)
	}
	return &http.Response{
		StatusCode: st.status, ProtoMajor: 1, ProtoMinor: 1, Header: header, Request: req,
		Body: io.NopCloser(strings.NewReader(st.body)),
	}, nil
}

func (s *script) next(req *http.Request) step {
	s.mu.Lock()
	defer s.mu.Unlock()
	path, index := req.URL.Path, req.URL.Query().Get("index")
	aside, ok := asides[path]
	if _, scripted := s.steps[path]; ok && !scripted {
		s.inFlight++
		return aside
	}
	s.requests = append(s.requests, path+"?"+index)
	s.inFlight++
	s.most = max(s.most, s.inFlight)
	if req.URL.Query().Has("tag") {
		return s.probe(path, req.URL.Query())
	}
	if q := req.URL.Query(); (index != "") != q.Has("wait") || (index == "") != q.Has("consistent") {
		s.t.Errorf("%s: it needs an index and a wait, or to be consistent: %s", path, req.URL.RawQuery)
	}
	steps, ok := s.steps[path]
	if !ok {
		s.t.Errorf("unexpected request: %s", req.URL)
		return step{hang: true}
	}
	// Another step is for later, after somebody has ended the query that is held now.
	if len(steps) == 0 || index != "" && steps[0].expect != index {
		return s.hold(path, index, req.URL.Query().Get("wait"))
	}
	if steps[0].expect != index {
		s.t.Errorf("%s: asked with index %q, expected %q", path, index, steps[0].expect)
	}
	if steps[0].status == http.StatusOK && steps[0].index > "1" {
		s.last[path] = steps[0]
	}
	s.steps[path] = steps[1:]
	return steps[0]
}

// probe answers who asks for a service's index alone.
func (s *script) probe(path string, q url.Values) step {
	if len(q) != 1 {
		s.t.Errorf("%s: a probe must be answered at once, by the leader: %s", path, q)
	}
	s.requests[len(s.requests)-1] = path + " probe"
	return step{status: http.StatusOK, index: cmp.Or(s.moved[path], s.last[path].index), body: "[]"}
}

func (s *script) answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
}

func (s *script) hold(path, index, wait string) step {
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
