// Package blocking repeats a blocking query of Consul and decides which responses can be true.
//
// A query starts with a read: a request without an index, which Consul answers at once with the whole content. It goes on
// with polls: requests with the index of the last response, which Consul holds until something changes or the wait is over.
// Only a read may remove something. These rules decide about a response; the first that matches applies:
//
//	response                                   action    next request    reason
//	-----------------------------------------  --------  --------------  -------------------
//	error                                      fail      read, backoff   (failure.Classify)
//	server has not heard from the leader       reject    read, backoff   stale_server
//	index 0 or 1                               reject    read, backoff   index_uninitialized
//	index below the request's                  reject    read, backoff   index_backwards
//	index of the request, other content        reject    read, backoff   index_unchanged
//	index of the request, after the wait       keep      poll, at once
//	index of the request, before the wait end  reject    read, backoff   not_blocking (*)
//	any other index                            Handle decides: accept, then poll; or read again
//
//	(*) The first three in a row are no failure: a restored snapshot ends each poll that way, once.
//
// Why the index decides:
//
//   - Index 0 or 1 is never content. The streaming backend sends it with an empty body after it has lost its servers, after
//     a restart, and to an unknown token.
//   - A lower index means that Consul has another state because a snapshot was restored. An early response with the index of
//     the request can mean that, too.
//   - A response with the index of the request is a timeout, and its body is not used. The streaming backend sends an empty
//     body with it after the rights of the token were narrowed.
//
// The rules are the same for all queries. Query.Handle applies the rules of one kind of content.
package blocking
