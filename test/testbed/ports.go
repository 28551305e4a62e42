package testbed

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// Ports are below the ephemeral ports (from 32768 on Linux, from 49152 elsewhere). A connection could use one of these
// before the server listens on it.
const firstPort, lastPort = 20000, 32000

// given are the ports that this program has handed out. The mutex guards the map; no other lock is taken with it.
var given = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// FreePort returns a free port of the loopback interface, each only once. The port is random, because other programs
// may do the same at the same time.
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

// listens returns nil if a port is free for TCP and UDP.
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

// fillPorts assigns a free port to each variable.
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
