package consul

import (
	"slices"
	"time"
)

const (
	// doubtGraceMin and doubtGraceMax bound how long after the list a service's own answer may come that explains it.
	doubtGraceMin = 20 * time.Millisecond
	doubtGraceMax = 250 * time.Millisecond
	// explainedMax is how many indexes of answers are kept.
	explainedMax = 1024
)

// A doubtList holds the changes that the list told without saying whose they are. The list's index is that of the
// newest change, and the answer of the service that changed has the same: then the list is explained, and nobody
// has to look for the change.
type doubtList struct {
	open  []doubt
	known []uint64
}

type doubt struct {
	index uint64
	until time.Time
}

// raise notes an index that needs an explanation until some time, unless there is one already.
func (d *doubtList) raise(index uint64, until time.Time) {
	if !slices.Contains(d.known, index) {
		d.open = append(d.open, doubt{index, until})
	}
}

func (d *doubtList) explain(index uint64) {
	d.open = slices.DeleteFunc(d.open, func(o doubt) bool { return o.index == index })
	if len(d.known) == explainedMax {
		d.known = append(d.known[:0], d.known[explainedMax/2:]...)
	}
	d.known = append(d.known, index)
}

// expire takes out the doubts that nobody explained in time, and says whether there were any and until when the
// next one waits.
func (d *doubtList) expire(now time.Time) (bool, time.Time) {
	before := len(d.open)
	d.open = slices.DeleteFunc(d.open, func(o doubt) bool { return !now.Before(o.until) })
	if len(d.open) == 0 {
		return before > 0, time.Time{}
	}
	return len(d.open) < before, d.open[0].until
}
