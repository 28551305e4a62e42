// Package holdstatus publishes held removals in a ConfigMap, and takes release requests from it. Every replica reads the
// ConfigMap, only the leader writes it. A hold is a removal that the guard of the engine holds back; guard decides when a
// hold begins and ends, this package lets replicas and operators agree about it.
//
// # Protocol
//
// The ConfigMap has a Status: the holds by source, and how often each source was released. The states of one source:
//
//	          guard begins a hold                     operator annotates the ConfigMap
//	none ----------------------------> held ------------------------------------------> release requested
//	 ^                                  |                                                       |
//	 | source recovers                  |                        leader calls Feedback.Release  |
//	 +----------------------------------+                                                       v
//	 ^                                                                                      releasing
//	 | leader: no hold in Status, Releases+1, annotation removed, in one write                  |
//	 +------------------------------------------------------------------------------------------+
//	                                                     guard has dropped the hold, or marked it
//	                                                     released until the source has synced
//
// A standby replica has holds of its own, because its own guard detects the removals. It does not act on the annotation.
// When it reads a count in Releases that is higher than the one it knows, it calls Feedback.Release for its own hold.
//
// # Rules
//
//   - The leader writes nothing before its holds were restored: a replica that knows nothing yet must not say that
//     nothing is held.
//   - Counts decide, not times, because replicas have different clocks.
//   - Two replicas detect the same hold at slightly different times. Correlation by source keeps the published start and
//     reason, so that they do not overwrite each other.
//   - A request releases the hold that was in force when the leader read it. A hold that begins later needs a new request.
//   - A write names the resource version that it is based on. On a conflict the Reconciler reads the ConfigMap again.
//   - Each hold and each release makes one Kubernetes event.
package holdstatus
