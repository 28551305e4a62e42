package testbed

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/miekg/dns"
)

// CoreDNS is a running CoreDNS.
type CoreDNS struct {
	*Process
	// Address is the address, host:port, of the DNS server.
	Address string
}

// StartCoreDNS starts CoreDNS and waits until it responds. The blocks are the contents of the server blocks of its
// Corefile by zone.
func (r *Run) StartCoreDNS(ctx context.Context, blocks map[string]string) (*CoreDNS, error) {
	path, err := Binary(CoreDNSBinary)
	if err != nil {
		return nil, err
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	var corefile string
	for zone, block := range blocks {
		corefile += zone + ":" + strconv.Itoa(port) + " {\n  bind 127.0.0.1\n" + block + "\n}\n"
	}
	file := filepath.Join(r.dir, "Corefile-"+strconv.Itoa(port))
	if err := os.WriteFile(file, []byte(corefile), 0o600); err != nil {
		return nil, err
	}
	c := &CoreDNS{Address: loopback(port)}
	if c.Process, err = r.Start("coredns", path, nil, "-conf", file); err != nil {
		return nil, err
	}
	return c, c.ready(ctx, func(ctx context.Context) error {
		client := dns.Client{Timeout: time.Second}
		_, _, err := client.ExchangeContext(ctx, new(dns.Msg).SetQuestion("ready.invalid.", dns.TypeA), c.Address)
		return err
	})
}
