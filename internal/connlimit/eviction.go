package connlimit

// victimOfTotal returns the connection to close if the total is reached; nil if there is none. own is the number of
// connections of the client that opens a new one. The caller holds mu.
func (l *Listener) victimOfTotal(own int) (victim *conn) {
	mostPending, most := 0, own+1
	var established *conn
	for _, conns := range l.clients {
		pending, oldest := 0, oldestPending(conns)
		if len(conns) < own+2 && (len(conns) <= own || !oldest.isOld()) {
			continue
		}
		for _, c := range conns {
			if !c.established {
				pending++
			}
		}
		if pending > mostPending {
			mostPending, victim = pending, oldest
		}
		if len(conns) > most {
			most, established = len(conns), conns[len(conns)-1]
		}
	}
	if victim == nil {
		victim = established
	}
	return victim
}

// oldestPending returns the oldest pending connection; nil if there is none.
func oldestPending(conns []*conn) *conn {
	for _, c := range conns {
		if !c.established {
			return c
		}
	}
	return nil
}
