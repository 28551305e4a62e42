package consul

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
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

// A step expects an index ("" for none) and answers it after a while.
type step struct {
	expect string
	after  time.Duration
	status int
	index  string
	header map[string]string
	body   string
	err    error
	hang   bool
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
	selfPath:  sent(0).fails(401, "ACL support disabled"),
	nodesPath: sent(0).says(10, "[]"),
}

func servicePath(name string) string { return "/v1/health/service/" + name }

// list scripts the answers on the list of services.
func (s *script) list(steps ...step) { s.steps[servicesPath] = append(s.steps[servicesPath], steps...) }

// service scripts the answers on one service.
func (s *script) service(name string, steps ...step) {
	s.steps[servicePath(name)] = append(s.steps[servicePath(name)], steps...)
}

// sent expects a request with the index, or one without an index for 0, and answers it at once.
func sent(index int) step {
	st := step{status: http.StatusOK}
	if index != 0 {
		st.expect = fmt.Sprint(index)
	}
	return st
}

func (s step) later(d time.Duration) step { s.after = d; return s }

func (s step) says(index int, body string) step {
	s.index, s.body = fmt.Sprint(index), body
	return s
}

func (s step) fails(status int, body string) step { s.status, s.body = status, body; return s }

func (s step) breaks(err error) step { s.err = err; return s }

func (s step) hangs() step { s.hang = true; return s }

func (s step) with(key, value string) step {
	header := map[string]string{key: value}
	for k, v := range s.header {
		header[k] = v
	}
	s.header = header
	return s
}

func (s step) deny() step { return s.with("X-Consul-Default-Acl-Policy", "deny") }

func (s step) filtered() step { return s.with("X-Consul-Results-Filtered-By-Acls", "true") }

// names is the body of a list that holds Consul's own service and these.
func names(services ...string) string {
	list := map[string][]string{"consul": {}}
	for _, name := range services {
		list[name] = []string{}
	}
	return mustJSON(list)
}

// instances is the body of a service's answer, each as "node/id".
func instances(service string, ids ...string) string {
	entries := []*api.ServiceEntry{}
	for _, id := range ids {
		node, id, _ := strings.Cut(id, "/")
		entries = append(entries, &api.ServiceEntry{
			Node:    &api.Node{Node: node, Address: "10.0.0.1", Datacenter: "dc1"},
			Service: &api.AgentService{ID: id, Service: service, Port: 80},
		})
	}
	return mustJSON(entries)
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
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
