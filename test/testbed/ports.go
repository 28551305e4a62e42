package testbed

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// Ports are taken below those that systems give to whoever connects (from 32768 on Linux, from 49152 elsewhere): one of
// these could be somebody's by the time that a server listens.
const firstPort, lastPort = 20000, 32000

// given are the ports that this program has handed out.
var given = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// FreePort returns a free port of the loopback interface, each once. Other programs may do the same at the same time, so
// it is any one.
func FreePort() (int, error) {
	given.Lock()
	defer given.Unlock()
	var err error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if given.ports[port] {
			continue
		}
		if err = listens(port); err == nil {
			given.ports[port] = true
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port from %d to %d: %w", firstPort, lastPort, err)
}

// listens returns nil where one can listen on a port, by TCP and UDP.
func listens(port int) error {
	stream, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return err
	}
	packets, err := net.ListenPacket("udp", loopback(port))
	if err == nil {
		err = packets.Close()
	}
	return errors.Join(err, stream.Close())
}

// fillPorts puts a free port into each place.
func fillPorts(places ...*int) error {
	for _, place := range places {
		port, err := FreePort()
		if err != nil {
			return err
		}
		*place = port
	}
	return nil
}
