package engine

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
	"github.com/isthmus-mesh/isthmus/internal/contract"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/vip"
)

var (
	pg     = mesh.Name{Source: "consul", Label: "pg"}
	master = pg.OfTag("master")
)

// roles returns rules in which the roles of Patroni get hosts.
func roles() Rules {
	options := meshOptions()
	options.TagHosts = []string{"master", "replica"}
	return Rules{Mesh: options}
}

// patroni returns a service whose instances have the given tags.
func patroni(tags ...string) catalog.Service {
	var ids []string
	for i := range tags {
		ids = append(ids, fmt.Sprint(i+1))
	}
	service := reported("consul", "pg", ids...)
	for i, tag := range tags {
		service.Instances[i].Tags = []string{tag}
	}
	return service
}

// targets returns the addresses of the endpoints of each tag with a host.
func targets(e *Engine) map[string]string {
	all := map[string]string{}
	for _, name := range e.Names() {
		if name.Tag == "" {
			continue
		}
		var addresses []string
		for _, endpoint := range e.Desired(name).Objects[0].Spec.(*networking.ServiceEntry).Endpoints {
			addresses = append(addresses, endpoint.Address)
		}
		all[name.Tag] = strings.Join(addresses, " ")
	}
	return all
}

func wantTargets(t *testing.T, e *Engine, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, targets(e)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// tagStore is a store that keeps the tags with hosts.
type tagStore struct {
	*fakeStore
	tags map[mesh.Name][]string
}

func (s tagStore) Save(change contract.Change) {
	s.fakeStore.Save(change)
	for name, tags := range change.TagHosts {
		if s.tags[name] = tags; len(tags) == 0 {
			delete(s.tags, name)
		}
	}
}

// TestTagHostsFollowAFailover verifies that the host of a tag moves with the tag, stays without endpoints while no instance
// has the tag, keeps its virtual address, and leaves with the service.
func TestTagHostsFollowAFailover(t *testing.T) {
	store := tagStore{newFakeStore(), map[mesh.Name][]string{}}
	options := guarded(store)
	options.Rules.Mesh = roles().Mesh
	options.Addresses = vip.Options{IPv4: netip.MustParsePrefix("244.0.0.0/16")}
	e := New(options, []contract.Source{newFakeSource("consul")}, nil)
	first, second := addressOf("1"), addressOf("2")
	e.handle(oneUpdate(patroni("master", "replica")))
	e.handleSynced("consul", true)
	wantTargets(t, e, map[string]string{"master": first, "replica": second})
	address := mesh.AddressesOf(e.Desired(master).Objects)
	if len(address) != 1 || slices.Equal(address, mesh.AddressesOf(e.Desired(pg).Objects)) {
		t.Errorf("the tag has the addresses %v", address)
	}

	e.handle(oneUpdate(patroni("replica", "replica")))
	wantTargets(t, e, map[string]string{"master": "", "replica": first + " " + second})
	e.handle(oneUpdate(patroni("replica", "master")))
	wantTargets(t, e, map[string]string{"master": second, "replica": first})
	if got := mesh.AddressesOf(e.Desired(master).Objects); !slices.Equal(got, address) {
		t.Errorf("the address changed from %v to %v", address, got)
	}
	if diff := cmp.Diff(map[mesh.Name][]string{pg: {"master", "replica"}}, store.tags); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}

	e.handle(oneUpdate(catalog.Service{Key: catalog.Key{Source: "consul", Name: "pg"}}))
	if names := e.Names(); len(names) > 0 || len(store.tags) > 0 {
		t.Errorf("left: %v, stored %v", names, store.tags)
	}
	if d := e.Desired(master); !d.Authoritative {
		t.Error("the absence of the host is not authoritative")
	}
}

// TestTagHostsSurviveARestart verifies that the host of a tag stays if isthmus starts while no instance has the tag.
func TestTagHostsSurviveARestart(t *testing.T) {
	e := New(Options{Rules: roles(), Log: guarded(nil).Log, Metrics: guarded(nil).Metrics}, []contract.Source{newFakeSource("consul")}, nil)
	gone := mesh.Name{Source: "consul", Label: "gone"}
	e.restoreTags(map[mesh.Name][]string{pg: {"replica", "master", "canary"}, gone: {"master"}})
	e.handle(oneUpdate(patroni("replica")))
	wantTargets(t, e, map[string]string{"master": "", "replica": addressOf("1")})
	e.handleSynced("consul", true)
	if len(e.restoredTags) > 0 {
		t.Errorf("tags of services that are gone: %v", e.restoredTags)
	}
}

// TestTagHostsFollowTheRules verifies that hosts appear and leave if the configuration changes.
func TestTagHostsFollowTheRules(t *testing.T) {
	e := idleEngine(nil)
	e.handle(oneUpdate(patroni("master", "replica")))
	wantTargets(t, e, map[string]string{})
	e.handleRules(roles())
	wantTargets(t, e, map[string]string{"master": addressOf("1"), "replica": addressOf("2")})
	rules := roles()
	rules.Mesh.TagHosts = []string{"rep*"}
	e.handleRules(rules)
	wantTargets(t, e, map[string]string{"replica": addressOf("2")})
}

// TestTagHostsOfTheLeader verifies that a replica that takes over continues with the tags of the leader, and that a
// disconnected source keeps their live objects.
func TestTagHostsOfTheLeader(t *testing.T) {
	for _, cut := range []bool{false, true} {
		e := idleEngine(nil)
		e.handleRules(roles())
		e.handle(oneUpdate(patroni("master", "replica")))
		e.handleSynced("consul", true)
		snapshot := contract.Snapshot{
			Live: held(e), TagHosts: map[mesh.Name][]string{pg: {"master", "replica"}}, Changed: time.Unix(1, 0),
			Services: []catalog.Service{patroni("master", "replica")},
		}

		e = idleEngine(nil)
		e.handleRules(roles())
		e.handle(oneUpdate(patroni("replica", "replica")))
		e.handleSynced("consul", true)
		wantTargets(t, e, map[string]string{"replica": addressOf("1") + " " + addressOf("2")})
		h := handover{Snapshot: snapshot, done: make(chan struct{})}
		if cut {
			h.disconnected = []string{"consul"}
		}
		e.handleHandover(h)
		if d := e.Desired(master); cut && (d.Authoritative || !slices.EqualFunc(d.Objects, snapshot.Live[master], mesh.Object.Equal)) {
			t.Errorf("cut off: authoritative %v, %d objects", d.Authoritative, len(d.Objects))
		}
		e.handleConnected("consul")
		wantTargets(t, e, map[string]string{"master": "", "replica": addressOf("1") + " " + addressOf("2")})
	}
}

// TestTagHostsOfARenamedService verifies that the tags move to another name with their service, and that each host has
// one owner.
func TestTagHostsOfARenamedService(t *testing.T) {
	e := idleEngine(nil)
	e.handleRules(roles())
	service := patroni("master")
	service.Name = "Pg_1"
	e.handle(oneUpdate(service))
	other := patroni("master")
	other.Name = "pg-1"
	e.handle(oneUpdate(other))
	e.handleSynced("consul", true)
	hosts := map[string]int{}
	for _, objects := range held(e) {
		for _, host := range objects[0].Spec.(*networking.ServiceEntry).Hosts {
			hosts[host]++
		}
	}
	if len(hosts) != 4 || slices.ContainsFunc(slices.Collect(maps.Values(hosts)), func(n int) bool { return n != 1 }) {
		t.Errorf("hosts %v", hosts)
	}
}
