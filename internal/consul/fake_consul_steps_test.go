package consul

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// step expects an index ("" for none) and answers the request after a delay.
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

// sent expects a request with the index, or without an index for 0. It answers at once.
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

// names returns the body of a list with Consul's own service and these services.
func names(services ...string) string {
	list := map[string][]string{"consul": {}}
	for _, name := range services {
		list[name] = []string{}
	}
	return mustJSON(list)
}

// instances returns the body of a service's answer. Each ID is "node/id".
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
