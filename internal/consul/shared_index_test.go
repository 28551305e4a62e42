package consul

import (
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// TestChangesThatShareAnIndex changes an unwatched service together with a watched one. The response of the watched
// service has the new index of the list, so the change of the list is attributed to that service.
func TestChangesThatShareAnIndex(t *testing.T) {
	s := startServer(t, "")
	s.fill(unwatchedServices)
	port := func(port int) func(r *api.CatalogRegistration) {
		return func(r *api.CatalogRegistration) { r.Service.Port = port }
	}
	together := map[string]func(unwatched string){
		"one transaction": func(unwatched string) {
			set := func(service string) *api.TxnOp {
				return &api.TxnOp{Service: &api.ServiceTxnOp{Verb: api.ServiceSet, Node: service, Service: api.AgentService{
					ID: service + "-1", Service: service, Port: 99,
				}}}
			}
			if ok, said, _, err := s.api.Txn().Txn(api.TxnOps{set(unwatched), set("watched")}, nil); err != nil || !ok {
				t.Fatal(said, err)
			}
		},
		"two writes at once": func(unwatched string) {
			var group sync.WaitGroup
			for _, service := range []string{unwatched, "watched"} {
				group.Go(func() { s.register(service, service+"-1", service, port(99)) })
			}
			group.Wait()
		},
	}
	s.register("watched", "watched-1", "watched")
	for name := range together {
		s.register("unwatched of "+name, "unwatched of "+name+"-1", "unwatched of "+name)
	}
	p := runReal(t, Options{Config: &api.Config{Address: s.Address}, Connections: 8, verifyAfter: time.Second})
	eventually(t, "the first scan is over", func() bool { return p.settled(unwatchedServices) })
	p.source.detector.DemoteAll()
	for name, change := range together {
		s.register("watched", "watched-1", "watched", port(98))
		eventually(t, "the service is watched", func() bool {
			return p.latest("watched").Instances[0].Port == 98 && p.isWatched("watched") && p.listRests()
		})
		unwatched := "unwatched of " + name
		if p.isWatched(unwatched) {
			t.Fatalf("%s is watched, expected unwatched", unwatched)
		}
		change(unwatched)
		for _, service := range []string{"watched", unwatched} {
			// The scan that finds the unwatched service waits 200 times the duration of a scan.
			if !within(5*time.Minute, func() bool { return p.latest(service).Instances[0].Port == 99 }) {
				t.Fatalf("the change of %s is not seen", service)
			}
		}
	}
}
