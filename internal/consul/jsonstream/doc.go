// Package jsonstream reads large JSON responses with a bounded amount of memory.
//
// Registrations decide how large a response is and how it is composed. A response of a few megabytes can decode to a
// hundred times as much, and one service can make the list of all services larger than any limit. The package therefore
// reads from the stream:
//
//   - Names reads the list of services. It keeps one name at a time and no tag, so its memory does not depend on the list.
//   - Elements reads an array element by element. It keeps one element at a time.
//   - Bound fails when the decoded form of what was read would be too large.
package jsonstream
