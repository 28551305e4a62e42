package testbed

import (
	"fmt"
	"net"
)

// ports hands out free ports of the loopback interface, each once.
type ports struct{ given map[int]bool }

func (p *ports) free() (int, error) {
	for range 100 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, fmt.Errorf("no free port: %w", err)
		}
		port := listener.Addr().(*net.TCPAddr).Port
		listener.Close()
		if p.given == nil {
			p.given = map[int]bool{}
		}
		if !p.given[port] {
			p.given[port] = true
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port in 100 tries")
}

// fill puts a free port into each place.
func (p *ports) fill(places ...*int) error {
	for _, place := range places {
		port, err := p.free()
		if err != nil {
			return err
		}
		*place = port
	}
	return nil
}

// FreePort returns a free port of the loopback interface that no server of the run has.
func (r *Run) FreePort() (int, error) { return r.ports.free() }
