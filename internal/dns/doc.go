// Package dns is an output that answers DNS queries for the hosts of the services in the mesh. It answers with the virtual
// addresses of a service, or with the addresses of its instances as Consul does.
//
// A query reads a table and waits for no lock. Unknown names below Consul's domains may be forwarded to Consul's own DNS;
// no other name is forwarded. The server is authoritative only, and caches nothing.
package dns
