// Package conflict detects hosts and virtual addresses that both a service of isthmus and a foreign object have, and
// decides which of the two keeps them. A foreign object is a ServiceEntry that isthmus did not write, or a Service.
//
// # Hosts
//
// istiod sends callers to the oldest ServiceEntry that has the host (SortServicesByCreationTime in Istio's
// pilot/pkg/model). The resolution follows it, so a host stays with its owner until one of the two objects goes.
//
//	a namespace sees both   our live ServiceEntry has the     outcome
//	objects                 host and is older
//	---------------------   -------------------------------   -----------------------------------------------
//	no                      any                               no conflict
//	yes                     yes                               kept: the service keeps the host
//	yes                     no                                yielded: the host is left out of the ServiceEntry
//
// A service that yields all its hosts has no objects in the mesh. An output that serves hosts in another way, as DNS
// does, learns of yielded hosts through contract.Conflicts.YieldedHosts.
//
// Which namespaces see both objects depends on the kind of the foreign object:
//
//	foreign object                          conflict if
//	-------------------------------------   ---------------------------------------------------------------------
//	Service, host NAME                      the Service's namespace sees our ServiceEntry
//	Service, host NAME.NAMESPACE            any namespace sees our ServiceEntry
//	ServiceEntry in our namespace           any namespace sees each of them
//	ServiceEntry in another namespace       a namespace other than the foreign one sees both: in its own namespace
//	                                        Istio prefers the foreign one (pickBestVisibleNamespace in Istio's
//	                                        pilot/pkg/model) anyway
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
