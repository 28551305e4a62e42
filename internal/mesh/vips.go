package mesh

import "net/netip"

// SetAddresses sets the virtual addresses of the ServiceEntry. Call it only on resources that are not shared yet.
func (r Resources) SetAddresses(addresses []netip.Addr) {
	if _, entry := serviceEntryOf(r.Objects); entry != nil {
		entry.Addresses = nil
		for _, address := range addresses {
			entry.Addresses = append(entry.Addresses, address.String())
		}
	}
}

// AddressesOf returns the virtual addresses of the ServiceEntry among a service's objects.
func AddressesOf(objects []Object) []netip.Addr {
	_, entry := serviceEntryOf(objects)
	if entry == nil {
		return nil
	}
	var addresses []netip.Addr
	for _, text := range entry.Addresses {
		if address, err := netip.ParseAddr(text); err == nil {
			addresses = append(addresses, address)
		}
	}
	return addresses
}

// The names of ports in ServiceEntries and endpoints: DefaultPort is the port of callers that name none, NativePort the own
// port of the instances.
const (
	DefaultPort = defaultPort
	NativePort  = nativePort
)
