package detect

import (
	"testing"
	"time"
)

// TestPendingIndexes verifies that an index is pending until it is attributed or expires, and that memory is bounded.
func TestPendingIndexes(t *testing.T) {
	var p pendingIndexes
	now := time.Now()
	p.attribute(5)
	p.add(5, now.Add(time.Second))
	if expired, at := p.expire(now.Add(time.Hour)); expired || !at.IsZero() {
		t.Error("an attributed index is pending")
	}
	soon := now.Add(time.Second)
	p.add(6, soon)
	if expired, at := p.expire(now); expired || at != soon {
		t.Errorf("an index expired early: %v %v", expired, at)
	}
	p.attribute(6)
	p.add(7, soon)
	if expired, at := p.expire(soon); !expired || !at.IsZero() {
		t.Error("only index 7 is pending and expires")
	}
	for i := range uint64(3 * maxAttributed) {
		p.attribute(100 + i)
	}
	if len(p.attributed) > maxAttributed {
		t.Errorf("%d indexes are kept", len(p.attributed))
	}
}
