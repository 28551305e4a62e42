package testbed

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"strings"
)

// podRange is the range of the pods' addresses, eight for each. RFC 2544 reserves 198.18.0.0/15 for tests of networks.
var podRange = netip.MustParsePrefix("198.18.0.0/15")

const (
	podBits  = 29
	podCount = 1 << (podBits - 15)
)

// connect joins the pod and this machine by a pair of interfaces.
func (p *Pod) connect(ctx context.Context) error {
	var err error
	for range 10 {
		addresses := podAddresses(rand.IntN(podCount))
		p.Gateway, p.Address, p.Machines = addresses[0], addresses[1], addresses[2:]
		if err = p.link(ctx); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	inside := p.Enter()
	return errors.Join(
		command(ctx, append(inside, "ip", "address", "add", p.Address+"/29", "dev", podInterface)...),
		command(ctx, append(inside, "ip", "link", "set", podInterface, "up")...),
		command(ctx, append(inside, "ip", "link", "set", "lo", "up")...),
		command(ctx, append(inside, "ip", "route", "add", "default", "via", p.Gateway)...),
	)
}

// podInterface is the name of the interface in the pod.
const podInterface = "eth0"

// link creates the pair of interfaces. It fails if another pod has the addresses, because the name of the interface
// contains the address.
func (p *Pod) link(ctx context.Context) error {
	name := p.Link()
	err := command(ctx, "ip", "link", "add", name, "type", "veth",
		"peer", "name", podInterface, "netns", fmt.Sprint(p.holder.PID()))
	if err != nil {
		return err
	}
	for _, address := range append([]string{p.Gateway}, p.Machines...) {
		err = errors.Join(err, command(ctx, "ip", "address", "add", address+"/29", "dev", name))
	}
	return errors.Join(err, command(ctx, "ip", "link", "set", name, "up"))
}

// podAddresses returns the usable addresses of the nth pod.
func podAddresses(n int) []string {
	base := podRange.Addr().As4()
	base[1] += byte(n >> 13)
	base[2] = byte(n >> 5)
	base[3] = byte(n << 3)
	var addresses []string
	address := netip.AddrFrom4(base)
	for range 6 {
		address = address.Next()
		addresses = append(addresses, address.String())
	}
	return addresses
}

// linkName returns the name of an interface with an address. A name has at most 15 characters.
func linkName(address string) string {
	parts := netip.MustParseAddr(address).As4()
	return fmt.Sprintf("isthmus-%x", parts[1:])
}

// command runs a program and waits for its end.
func command(ctx context.Context, line ...string) error {
	output, err := exec.CommandContext(ctx, line[0], line[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(line, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}
