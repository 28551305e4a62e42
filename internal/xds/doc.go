// Package xds is an output that serves the Istio resources to istiod by MCP over xDS. istiod lists the server among the
// configSources of its mesh configuration, and the resources need no objects in Kubernetes.
//
// The server answers every type that istiod requests, because istiod is not ready before that. ServiceEntries,
// WorkloadEntries and DestinationRules are answered only after the initial sync is complete, because istiod deletes each
// resource that a response omits. Versions depend on the content only: an istiod that reconnects to another replica
// rewrites no resource that both replicas have. The addresses of services are part of the resources, because istiod
// allocates no addresses for resources from a configSource.
//
// # Debounce and throttle
//
// A push publishes all pending changes as one edition to all clients:
//
//	idle ────────▶ debouncing ────────▶ throttled ────────▶ push ────▶ idle
//	      change    │      ▲   no change           throttledFor
//	                └──────┘   for debounceAfter,  is over
//	                 change    or debounceMax
//	                           is over
//
// The push answers each waiting client that does not have the newest version. A client that has not acknowledged the
// previous response is not waiting: its next request asks for another push.
//
// Each byte that is sent delays the next push by throttlePerByte.
//
// # Migration in steps
//
// A service migrates when its ServiceEntry gets another namespace or name, or when its endpoints change between inline
// endpoints and WorkloadEntries. A client applies each kind separately and in any order. Therefore the output publishes the
// endpoints before the ServiceEntry that needs them, and each step only after all clients have acknowledged the step before,
// or after migrationTimeout:
//
//	 published objects               next step when
//	┌────────────────────────────┐
//	│ old entry, old workloads   │  the desired entry has another binding (sameBinding)
//	├────────────────────────────┤
//	│ old entry, old + new       │  all clients acknowledged the edition, or after 10 s
//	│ workloads                  │
//	├────────────────────────────┤
//	│ new entry, new + old       │  all clients acknowledged the edition, or after 10 s
//	│ workloads                  │
//	├────────────────────────────┤
//	│ new entry, new workloads   │  done
//	└────────────────────────────┘
//
// A step that would change nothing is skipped. A change of the desired objects during a migration continues from the
// published step.
package xds
