package consul

import (
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// TestHiddenChanges changes a cold service together with a hot one. The answer of the hot service has the new index of
// the list, and so seems to explain the change of the list.
func TestHiddenChanges(t *testing.T) {
	s := startServer(t, "")
	s.fill(coldServices)
	port := func(port int) func(r *api.CatalogRegistration) {
		return func(r *api.CatalogRegistration) { r.Service.Port = port }
	}
	together := map[string]func(cold string){
		"one transaction": func(cold string) {
			set := func(service string) *api.TxnOp {
				return &api.TxnOp{Service: &api.ServiceTxnOp{Verb: api.ServiceSet, Node: service, Service: api.AgentService{
					ID: service + "-1", Service: service, Port: 99,
				}}}
			}
			if ok, said, _, err := s.api.Txn().Txn(api.TxnOps{set(cold), set("hot")}, nil); err != nil || !ok {
				t.Fatal(said, err)
			}
		},
		"two writes at once": func(cold string) {
			var group sync.WaitGroup
			for _, service := range []string{cold, "hot"} {
				group.Go(func() { s.register(service, service+"-1", service, port(99)) })
			}
			group.Wait()
		},
	}
	s.register("hot", "hot-1", "hot")
	for name := range together {
		s.register("cold of "+name, "cold of "+name+"-1", "cold of "+name)
	}
	p := runReal(t, Options{Config: &api.Config{Address: s.Address}, Connections: 8, verifyAfter: time.Second})
	eventually(t, "the first scan is over", func() bool { return p.settled(coldServices) })
	p.source.detector.DemoteAll()
	for name, change := range together {
		s.register("hot", "hot-1", "hot", port(98))
		eventually(t, "the service is hot", func() bool { return p.latest("hot").Instances[0].Port == 98 && p.isWatched("hot") && p.listRests() })
		cold := "cold of " + name
		if p.isWatched(cold) {
			t.Fatalf("%s is hot, expected cold", cold)
		}
		change(cold)
		for _, service := range []string{"hot", cold} {
			eventually(t, service, func() bool { return p.latest(service).Instances[0].Port == 99 })
		}
	}
}
