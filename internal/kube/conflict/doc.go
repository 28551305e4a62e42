// Package conflict detects hosts and virtual addresses that both a service of isthmus and a foreign object have, and
// decides which of the two keeps them. A foreign object is a ServiceEntry that isthmus did not write, or a Service.
//
// # Hosts
//
// istiod sends callers to the Service that has the host, whatever its age, and otherwise to the oldest ServiceEntry
// (pickBestVisibleNamespace and SortServicesByCreationTime in Istio's pilot/pkg/model). The resolution follows it, so a
// host stays with its owner until one of the two objects goes.
//
//	a namespace sees both   the host is the complete   our live ServiceEntry has    outcome
//	objects                 host of a Service          the host and is older
//	---------------------   ------------------------   --------------------------   ---------------------------------
//	no                      any                        any                          no conflict
//	yes                     no                         yes                          kept: the service keeps the host
//	yes                     any                        no                           yielded: the host is left out of
//	                                                                                the ServiceEntry
//	yes                     yes                        yes                          yielded, as before
//
// The complete host of a Service is NAME.NAMESPACE.svc.DOMAIN. isthmus takes no host under the domain of the cluster, so
// this conflict needs a wrong mesh.clusterDomain. The short names of a Service are no hosts of istiod: a ServiceEntry
// with such a name displaces it (dedupeDomains in Istio's pilot/pkg/networking/core), so their rule by age is our own.
//
// A service that yields all its hosts has no objects in the mesh. An output that serves hosts in another way, as DNS
// does, learns of yielded hosts through contract.Conflicts.YieldedHosts.
//
// Which namespaces see both objects depends on the kind of the foreign object:
//
//	foreign object                          conflict if
//	-------------------------------------   ---------------------------------------------------------------------
//	Service, host NAME                      the Service's namespace sees our ServiceEntry
//	Service, host NAME.NAMESPACE, also      any namespace sees our ServiceEntry
//	with .svc.DOMAIN
//	ServiceEntry in our namespace           any namespace sees each of them
//	ServiceEntry in another namespace       a namespace other than the foreign one sees both: in its own namespace
//	                                        Istio prefers the foreign one anyway
//
// # Virtual addresses
//
//	a namespace sees both   the foreign object has   our live ServiceEntry has     outcome
//	objects                                          the address and is older
//	---------------------   ----------------------   ---------------------------   ------------------------------------
//	no                      any                      any                           no conflict
//	yes                     a range around it        any                           kept: Envoy prefers single addresses
//	yes                     the single address       yes                           kept
//	yes                     the single address       no                            yielded: the engine assigns another
//
// # Parts
//
// Foreign (foreign.go, visibility.go) describes one foreign object. Index (index.go) finds the foreign objects that have
// a host or an address, and the services that a foreign object affects. resolve.go has the tables above as pure
// functions. Detector (detector.go) keeps the conflicts of all services and reports them. Only Watcher (watch.go)
// reads the Kubernetes API.
package conflict
