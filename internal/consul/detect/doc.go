// Package detect finds out which services changed, if Consul has more services than the source has connections.
//
// Over HTTP/1.1 each poll in flight takes a connection. A service whose poll is in flight is watched: its change arrives at
// once. The Detector watches the services that changed last, as many as there are connections. For the others it combines
// four mechanisms, each of which marks services as changed; a marked service is read.
//
//	mechanism         finds                                       cost for Consul
//	----------------  ------------------------------------------  -----------------------------------------
//	list of services  new and removed services, changed tags      one response for each change of the catalog
//	health watches    checks that are or were critical, warning   one response for each change of a check
//	node watches      every change on a node                      one response for each change of its node
//	index scan        every change                                one index query for each unwatched service
//
// Node watches run only if half of the connections are enough for all nodes. The index scan runs if a change of the list
// has no other explanation. The index of the list is that of the newest change, and the response of the service that changed
// has the same index: it attributes the change.
//
//	                   list changed
//	                        |
//	     +------------------+---------------------+
//	     | every node       | the poll was held   | the poll returned at once:
//	     | is watched       |                     | it may cover several changes
//	     v                  v                     v
//	node watch tells   pending index  --timeout-> scan demanded
//	                        |                     |
//	         same index in  |                     | pause of 3 scans is over
//	         a response     v                     v
//	                   attributed                scan --error, backoff--> scan demanded
//	                        |                     |
//	                        v                     v
//	                   scan later             services with another
//	                   (verifyAfter)          index are read
//
// A scan after the attribution is necessary because several changes can share an index (a transaction), and because a second
// change can follow at once. One more scan per wait finds changes that wake none of the queries.
//
// The states of a service:
//
//	           read, and a connection is free; or changed
//	unwatched ------------------------------------------> watched
//	          <------------------------------------------
//	           another service changed later, and no connection is free; one index query follows
//
// Locks: Detector.mu is acquired before budget.mu, scanner.mu, instanceIndex.mu, the locks of queries and pools, and that of
// failure.Tracker. scanner.mu is acquired before those of pools and failure.Tracker. Config.Synced is called without a lock,
// because it acquires the lock of the source, which is acquired before Detector.mu.
package detect
