// Package logonce decides when a lasting condition is logged: once when it begins and once when it ends.
package logonce

import "sync/atomic"

// Condition remembers whether a condition holds. The zero Condition does not hold. It is safe for concurrent use.
type Condition struct {
	active atomic.Bool
}

// Begin sets the condition. It reports whether the condition has just begun, so that the caller logs it.
func (c *Condition) Begin() bool { return c.active.CompareAndSwap(false, true) }

// End clears the condition. It reports whether the condition has just ended, so that the caller logs it.
func (c *Condition) End() bool { return c.active.CompareAndSwap(true, false) }

// Active reports whether the condition holds.
func (c *Condition) Active() bool { return c.active.Load() }
