package wait

// A Signal wakes one goroutine. Several notifications before the goroutine receives count as one. Create it with
// NewSignal.
type Signal chan struct{}

// NewSignal returns a signal without a notification.
func NewSignal() Signal { return make(Signal, 1) }

// Notify wakes the receiver. It doesn't block.
func (s Signal) Notify() {
	select {
	case s <- struct{}{}:
	default:
	}
}
