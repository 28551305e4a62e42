package dns

import (
	"log/slog"
	"net"
	"net/netip"
	"testing"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/vip"
)

// discardWriter is a dns.ResponseWriter that records the size of the reply only.
type discardWriter struct {
	dns.ResponseWriter
	udp  bool
	size int
}

func (d *discardWriter) RemoteAddr() net.Addr {
	if d.udp {
		return &net.UDPAddr{}
	}
	return &net.TCPAddr{}
}

func (d *discardWriter) WriteMsg(m *dns.Msg) error {
	packed, err := m.Pack()
	d.size = len(packed)
	return err
}

// newLoadedServer returns a server with services that does not listen.
func newLoadedServer(instances bool, services int) *Server {
	s := newServer(Options{
		Domains: []string{"consul"}, MoreDomains: []string{"a.consul", "shop"}, Instances: instances, MaxAmplification: 4,
		Addresses: vip.Options{IPv4: netip.MustParsePrefix("244.0.0.0/6")},
		Log:       slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry()),
	})
	for i := range services {
		label := "s" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676%26))
		ip := netip.AddrFrom4([4]byte{244, byte(i >> 16), byte(i >> 8), byte(i)}).String()
		s.table.set(mesh.Name{Source: "consul", Label: label}, []mesh.Object{{Spec: &networking.ServiceEntry{
			Hosts: []string{label + ".service.consul", label}, Addresses: []string{ip},
			Ports: []*networking.ServicePort{{Number: 80, Name: mesh.DefaultPort}},
			Endpoints: []*networking.WorkloadEntry{
				{Address: "10.0.0.1", Ports: map[string]uint32{mesh.DefaultPort: 80}}, {Address: "db.example"}, {Address: "fd00::1"},
			},
		}}}, nil)
	}
	s.complete.Store(true)
	return s
}

// FuzzPackets verifies that no packet makes the server panic or causes a reply above the size limits.
func FuzzPackets(f *testing.F) {
	for _, name := range []string{"saaa.service.consul.", "_saaa._tcp.service.consul.", "1.0.0.244.in-addr.arpa.", "0a000001.addr.dc1.consul.", "saaa.", ".", "\\000.consul."} {
		for _, kind := range []uint16{dns.TypeA, dns.TypeSRV, dns.TypeANY, dns.TypePTR, dns.TypeSOA} {
			m := new(dns.Msg).SetQuestion(name, kind)
			m.SetEdns0(4096, true)
			packed, err := m.Pack()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(packed, true)
		}
	}
	servers := []*Server{newLoadedServer(false, 100), newLoadedServer(true, 100)}
	f.Fuzz(func(t *testing.T, packet []byte, udp bool) {
		query := new(dns.Msg)
		if query.Unpack(packet) != nil {
			return
		}
		for _, s := range servers {
			w := &discardWriter{udp: udp}
			s.ServeDNS(w, query)
			if udp && w.size > maxUDP {
				t.Errorf("the reply has %d bytes, query %s", w.size, query)
			}
			if udp && w.size > 4*len(packet) {
				t.Errorf("the reply has %d bytes, the query %d: %s", w.size, len(packet), query)
			}
		}
	})
}
