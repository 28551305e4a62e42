package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	networking "istio.io/api/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/isthmus-mesh/isthmus/test/testbed"
)

const roleHosts = "mesh: {addresses: {allow: [127.0.0.0/8]}, tagHosts: [master, replica, blue], endpoints: %s}"

// patroni is a PostgreSQL cluster whose instances have the same port at different addresses, and the names n1, n2 and n3.
type patroni struct {
	*harness
	instances []instance
}

func newPatroni(t *testing.T, w *harness) *patroni {
	t.Helper()
	p := &patroni{harness: w}
	port := "0"
	for n := 1; n <= 3; n++ {
		s := newServerAt(t, fmt.Sprint("n", n), fmt.Sprintf("127.0.0.%d:%s", n, port))
		port = strconv.Itoa(s.port)
		p.instances = append(p.instances, instance{
			service: "pg", id: fmt.Sprint("n", n), address: s.address, port: s.port, meta: map[string]string{"protocol": "tcp"},
		})
	}
	return p
}

// tag registers the instances with the given tags, in turn, as each agent does for itself. As with Patroni, an instance leads
// only after all others do not.
func (p *patroni) tag(t *testing.T, tags ...string) {
	t.Helper()
	for i, tag := range tags {
		if tag == "" {
			p.instances[i].tags = nil
		} else {
			p.instances[i].tags = []string{tag}
		}
	}
	for _, leads := range []bool{false, true} {
		for _, i := range p.instances {
			if slices.Contains(i.tags, "master") == leads {
				p.register(t, i)
			}
		}
	}
}

// call connects to an address in the mesh and returns the name of the instance that answers.
func (w *harness) call(ctx context.Context, address string, port int) (string, error) {
	url := "http://" + net.JoinHostPort(address, strconv.Itoa(port)) + "/"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := w.envoy.Client().Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// callers call an address until stop is called, and record which instances answer, without repetitions.
func (w *harness) callers(t *testing.T, address string) (stop func() []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	var answers []string
	wait.Go(func() {
		for ctx.Err() == nil {
			answer, err := w.call(ctx, address, 80)
			if err == nil && (len(answers) == 0 || answers[len(answers)-1] != answer) {
				answers = append(answers, answer)
			}
		}
	})
	return func() []string {
		cancel()
		wait.Wait()
		return answers
	}
}

// awaitTagEndpoints waits until Envoy has exactly the named instances as endpoints of the host of a tag.
func (p *patroni) awaitTagEndpoints(t *testing.T, tag string, names ...string) {
	t.Helper()
	var want []string
	for _, i := range p.instances {
		for _, name := range names {
			if i.id == name {
				want = append(want, fmt.Sprint(i.address, ":", i.port))
			}
		}
	}
	p.awaitEndpoints(t, "outbound|80||"+tag+"."+p.instances[0].host(), want...)
}

// resolve waits until the DNS server of isthmus has an address for the host of a tag, and returns it.
func resolve(t *testing.T, server, host string) (address string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		got, err := ask(ctx, server, "udp", host+".", dns.TypeA)
		if err == nil && len(got) != 2 {
			err = fmt.Errorf("%s: %v", host, got)
		}
		if err == nil {
			address = got[1][strings.LastIndex(got[1], " ")+1:]
		}
		return err
	})
	return address
}

// testFailover verifies that writers reach the leader and readers the replicas, by the hosts of the tags that Patroni
// registers, and that after a failover the same addresses lead to the new roles.
func (p *patroni) testFailover(t *testing.T) {
	t.Helper()
	p.tag(t, "master", "replica", "replica")
	p.awaitTagEndpoints(t, "master", "n1")
	p.awaitTagEndpoints(t, "replica", "n2", "n3")
	writes, reads := resolve(t, p.dns, "master.pg.service.consul"), resolve(t, p.dns, "replica.pg.service.consul")
	for address, want := range map[string]string{writes: "n1", reads: "n2 n3"} {
		for _, port := range []int{80, p.instances[0].port} {
			eventually(t, func(ctx context.Context) error {
				answer, err := p.call(ctx, address, port)
				if err == nil && !strings.Contains(want, answer) {
					t.Errorf("%s answers at %s:%d, want %s", answer, address, port, want)
				}
				return err
			})
		}
	}

	stop := p.callers(t, writes)
	p.tag(t, "", "replica", "replica") // the leader is gone
	p.awaitTagEndpoints(t, "master")
	if got := resolve(t, p.dns, "master.pg.service.consul"); got != writes {
		t.Errorf("without a leader, the host has address %s, had %s", got, writes)
	}
	p.tag(t, "", "replica", "master") // another instance leads
	p.awaitTagEndpoints(t, "master", "n3")
	eventually(t, func(ctx context.Context) error {
		answer, err := p.call(ctx, writes, 80)
		if err == nil && answer != "n3" {
			t.Errorf("%s answers writers", answer)
		}
		return err
	})
	p.tag(t, "replica", "replica", "master")
	p.awaitTagEndpoints(t, "replica", "n1", "n2")
	if answers := strings.Join(stop(), " "); answers != "n1 n3" {
		t.Errorf("writers reached %s, want n1, then n3", answers)
	}

	stop = p.callers(t, writes)
	p.tag(t, "master", "replica", "replica") // a switchover without a pause
	p.awaitTagEndpoints(t, "master", "n1")
	eventually(t, func(ctx context.Context) error {
		_, err := p.call(ctx, writes, 80)
		return err
	})
	if answers := strings.Join(stop(), " "); !slices.Contains([]string{"n3 n1", "n3", "n1"}, answers) {
		t.Errorf("writers reached %s, want n3, then n1", answers)
	}
}

// TestTagHosts verifies the hosts of tags with the output kube, in both forms, over a restart at the moment at which no
// instance leads, and until the service is removed.
func TestTagHosts(t *testing.T) {
	for _, form := range []string{"workloadEntry", "inline"} {
		t.Run(form, func(t *testing.T) {
			requireAll(t, testbed.IstiodBinary, testbed.EnvoyBinary)
			w := newHarness(t)
			if err := w.startMesh(t.Context(), fmt.Sprintf(roleHosts, form)); err != nil {
				t.Fatal(err)
			}
			p := newPatroni(t, w)
			p.testFailover(t)
			address := resolve(t, w.dns, "master.pg.service.consul")

			p.tag(t, "replica", "replica", "replica")
			p.awaitTagEndpoints(t, "master")
			w.isthmus.Stop()
			if err := w.isthmus.Restart(); err != nil {
				t.Fatal(err)
			}
			if err := w.isthmus.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := resolve(t, w.dns, "master.pg.service.consul"); got != address {
				t.Errorf("after a restart without a leader, the host has address %s, had %s", got, address)
			}
			p.tag(t, "replica", "master", "replica")
			p.awaitTagEndpoints(t, "master", "n2")

			before := w.settledWrites(t)
			p.tag(t, "replica", "master", "replica")
			w.register(t, instance{service: "marker", id: "marker", address: "127.0.0.8", port: 9999})
			w.awaitWrites(t, before+map[string]int{"inline": 1, "workloadEntry": 2}[form])
			w.testTagHostOfAnother(t)
		})
	}
}

// testTagHostOfAnother verifies that an older ServiceEntry keeps the host of a tag, and that the service and its other
// hosts are not affected.
func (w *harness) testTagHostOfAnother(t *testing.T) {
	t.Helper()
	blue := instance{service: "shop", id: "blue", address: "127.0.0.9", port: 8080, tags: []string{"blue", "replica"}}
	theirs := foreignEntry("theirs")
	theirs.Spec.Hosts, theirs.Spec.Resolution = []string{"blue." + blue.host()}, networking.ServiceEntry_STATIC
	entries := w.istio.NetworkingV1().ServiceEntries("default")
	if _, err := entries.Create(t.Context(), theirs, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error { // the host is older by a second
		found, err := entries.Get(ctx, theirs.Name, metav1.GetOptions{})
		if err == nil && time.Since(found.CreationTimestamp.Time) < 2*time.Second {
			err = fmt.Errorf("created at %s", found.CreationTimestamp)
		}
		return err
	})
	w.register(t, blue)
	w.awaitEndpoints(t, blue.cluster(), "127.0.0.9:8080")
	w.awaitEndpoints(t, "outbound|80||replica."+blue.host(), "127.0.0.9:8080")
	eventually(t, func(ctx context.Context) error {
		yielded, err := w.isthmus.Metric(ctx, "isthmus_kubernetes_host_conflicts", "outcome", "yielded")
		if err == nil && yielded != 1 {
			err = fmt.Errorf("%v hosts are yielded", yielded)
		}
		return err
	})
	ours := w.istio.NetworkingV1().ServiceEntries(namespace)
	if _, err := ours.Get(t.Context(), blue.meshName().OfTag("blue").ServiceEntry(), metav1.GetOptions{}); err == nil {
		t.Error("isthmus wrote the host of another object")
	}
	awaitAnswer(t, w.dns, "blue."+blue.host()+".", dns.TypeA, "NXDOMAIN")
	if err := entries.Delete(t.Context(), theirs.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.awaitEndpoints(t, "outbound|80||blue."+blue.host(), "127.0.0.9:8080")
	w.deregister(t, blue)
	for _, host := range []string{blue.host(), "blue." + blue.host()} {
		w.awaitEndpoints(t, "outbound|80||"+host)
	}
}

// TestXDSTagHosts verifies the hosts of tags with the output xds.
func TestXDSTagHosts(t *testing.T) {
	port, err := testbed.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	names := fmt.Sprint("127.0.0.1:", port)
	w := newXDSHarness(t, "--config", configFile(t, fmt.Sprintf(roleHosts, "inline")), "--dns-addr", names)
	w.dns = names
	newPatroni(t, w).testFailover(t)
}
