package engine

// Log messages that the documentation and the end-to-end tests refer to.
const (
	// MessageRestored reports that the last known good of a source was loaded at the start.
	MessageRestored = "last known good restored, keeping it until the source is complete"
	// MessageMassRemoval reports that a hold began.
	MessageMassRemoval = "mass removal detected, holding removals (additions and updates continue)"
	// MessageHeldNodes names the nodes that all held instances share.
	MessageHeldNodes = "all held instances are on few nodes"
	// MessageHoldEnded reports that a hold ended.
	MessageHoldEnded = "hold ended, removals apply"
	// MessageQuarantined reports that this replica took over without a connection to a source.
	MessageQuarantined = "source not connected during takeover, keeping its live objects until it is"
	// MessageFinding reports the registrations of one service that can't be used as they are, for one reason.
	MessageFinding = "registration skipped or adjusted"
)
