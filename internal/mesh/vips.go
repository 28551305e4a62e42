package mesh

import "net/netip"

// SetAddresses gives a service's ServiceEntry virtual addresses. The resources must be new: nobody else reads them yet.
func (r Resources) SetAddresses(addresses []netip.Addr) {
	if _, entry := serviceEntryOf(r.Objects); entry != nil {
		entry.Addresses = nil
		for _, address := range addresses {
			entry.Addresses = append(entry.Addresses, address.String())
		}
	}
}

// AddressesOf returns the virtual addresses that the ServiceEntry among a service's objects has.
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

// The ports of a ServiceEntry and its endpoints: DefaultPort needs no number of a caller, NativePort is the instances'
// own where they agree on one.
const (
	DefaultPort = defaultPort
	NativePort  = nativePort
)
